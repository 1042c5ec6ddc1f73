import csv
import json
import math

import pytest

from dino_ir.errors import DataError
from dino_ir.evaluation import Row
from dino_ir.ledger import Ledger

ROWS = {
    0: Row("a", {"psnr": 30.25, "ssim": 0.9}, {"psnr": 20.5, "ssim": 0.5}, 1.5, memory=3 * 2**20),
    1: Row("b", {"psnr": math.inf, "ssim": 1.0}, {"psnr": math.nan, "ssim": 0.5}, 0.25, is_told=True),
}
PICTURES = ["p0", "p1"]
IDENTITY = {"restorer_digest": "r", "benchmark_digest": "b"}
METRICS = ["psnr", "ssim"]


def written(folder, identity=IDENTITY):
    """A ledger that two rows were added to."""
    ledger = Ledger(folder, "noise", identity, {"versions": "torch 2"})
    for index, row in ROWS.items():
        ledger.add(index, row, PICTURES[index])
    return ledger


def test_what_was_added_is_kept(tmp_path):
    written(tmp_path)

    kept = Ledger(tmp_path, "noise", IDENTITY).kept(PICTURES, METRICS)

    assert kept[0] == ROWS[0]
    assert (kept[1].scores, kept[1].is_told, kept[1].memory) == (ROWS[1].scores, True, None)
    assert math.isnan(kept[1].input_scores["psnr"])


@pytest.mark.parametrize(
    ("identity", "pictures", "metrics", "kept"),
    [
        (IDENTITY, ["p0", "new"], METRICS, {0}),
        (IDENTITY, ["p0"], METRICS, {0}),
        (IDENTITY, PICTURES, ["psnr"], {0, 1}),
        (IDENTITY, PICTURES, ["psnr", "lpips"], set()),
        ({**IDENTITY, "benchmark_digest": "other"}, PICTURES, METRICS, set()),
    ],
)
def test_only_what_is_still_true_is_kept(tmp_path, identity, pictures, metrics, kept):
    written(tmp_path)

    assert Ledger(tmp_path, "noise", identity).kept(pictures, metrics).keys() == kept


def test_rows_of_another_restorer_are_neither_taken_nor_lost(tmp_path):
    ledger = Ledger(tmp_path, "noise", IDENTITY, {"restorer": "bm3d"})
    ledger.add(0, ROWS[0], "p0")
    other = Ledger(tmp_path, "noise", {**IDENTITY, "restorer_digest": "other"})

    said = r"noise\.jsonl has rows of another restorer \(bm3d\): give another folder, or .* --overwrite$"
    with pytest.raises(DataError, match=said):
        other.refuse_others()
    with pytest.raises(DataError, match=said):
        other.kept(PICTURES, METRICS)
    ledger.refuse_others()
    assert ledger.kept(PICTURES, METRICS).keys() == {0}


def test_what_rows_do_not_say_is_said_for_them_and_no_more(tmp_path):
    written(tmp_path)
    unsaid = {"backend": "torch"}
    ledgers = [Ledger(tmp_path, "noise", IDENTITY | {"backend": name}) for name in ("torch", "onnx")]

    old = [len(ledger.kept(PICTURES, METRICS, unsaid)) for ledger in ledgers]
    written(tmp_path, IDENTITY | {"backend": "onnx"})
    new = [len(ledger.kept(PICTURES, METRICS, {"backend": "tpu"})) for ledger in ledgers]

    assert (old, new) == ([2, 0], [0, 2])


def test_a_line_that_was_cut_off_is_dropped(tmp_path):
    ledger = written(tmp_path)
    content = ledger.path.read_text()
    ledger.path.write_text(content[:-20])

    assert ledger.kept(PICTURES, METRICS).keys() == {0}


def test_the_last_of_several_lines_counts(tmp_path):
    ledger = written(tmp_path)
    newer = Row("a", {"psnr": 31.0, "ssim": 0.9}, {"psnr": 20.5, "ssim": 0.5}, 1.5)

    ledger.add(0, newer, "p0")

    assert ledger.kept(PICTURES, METRICS)[0].scores["psnr"] == 31


def test_closed_it_has_each_row_once_in_order_as_json_and_as_csv(tmp_path):
    ledger = written(tmp_path)
    ledger.add(0, ROWS[0], "p0")

    ledger.close({1: ROWS[1], 0: ROWS[0]}, PICTURES)

    lines = [json.loads(line) for line in (tmp_path / "noise.jsonl").read_text().splitlines()]
    with (tmp_path / "noise.csv").open(newline="") as file:
        cells = list(csv.DictReader(file))
    assert [line["image"] for line in lines] == [cell["image"] for cell in cells] == ["a", "b"]
    assert (
        lines[0] | {"psnr": 30.25, "ms": 1500.0, "peak_mib": 3.0, "told": False, "picture": "p0"} == lines[0]
    )
    assert lines[0] | IDENTITY | {"versions": "torch 2"} == lines[0]
    assert [cell["psnr"] for cell in cells] == ["30.25", "inf"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["noise.csv", "noise.jsonl"]


def test_lines_are_json_that_others_can_read(tmp_path):
    def refuse(constant):
        raise AssertionError(constant)

    lines = written(tmp_path).path.read_text().splitlines()

    assert [json.loads(line, parse_constant=refuse)["image"] for line in lines] == ["a", "b"]
