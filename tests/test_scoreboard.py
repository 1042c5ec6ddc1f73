from dataclasses import replace

import pytest

from dino_ir.benchmark import Benchmark
from dino_ir.evaluation import Row
from dino_ir.protocol import OURS, read_protocol
from dino_ir.reported import reported_for
from dino_ir.scoreboard import as_text, beside_reported, differences, left_out
from dino_ir.scoring import Scores

ROWS = [Row(name, {"psnr": 31.5, "ssim": 0.8915}, {"psnr": 20.0, "ssim": 0.5}, 1.0) for name in "ab"]
BSD68 = Benchmark("BSD68", "denoise", [], protocol=read_protocol("promptir"), expected=2, shared="sets")


def lines_of(text):
    """The lines of a table, below its head."""
    return [line for line in text.splitlines() if line.startswith("| ")][2:]


def line_of(text, restorer):
    (line,) = (line for line in text.splitlines() if line.startswith(f"| {restorer} |"))
    return line


@pytest.mark.parametrize(
    ("protocol", "expected", "reasons"),
    [
        (read_protocol("promptir"), 68, []),
        (read_protocol("promptir"), None, []),
        (read_protocol("promptir"), 100, ["ours is of 68 of 100 photos"]),
        (OURS, 68, ["scored by promptir, ours by default"]),
        (OURS, 100, ["ours is of 68 of 100 photos", "scored by promptir, ours by default"]),
    ],
)
def test_scores_compare_where_photos_and_protocol_are_the_same(protocol, expected, reasons):
    benchmark = Benchmark("BSD68", "denoise", [], protocol=protocol, expected=expected)

    assert differences(benchmark, 68, reported_for("bsd68_noise25")[0]) == reasons


def test_scores_compare_with_none_whose_protocol_nobody_says():
    (row, *_) = (row for row in reported_for("raindrop") if not row.protocol)

    assert differences(BSD68, 2, row) == ["how it was scored is not said"]


def test_ours_stands_in_its_place_among_the_others():
    text = beside_reported("bsd68_noise25", BSD68, ROWS, "mine")

    scores = [float(line.split(" | ")[1]) for line in lines_of(text)]
    assert scores == sorted(scores, reverse=True)
    assert line_of(text, r"**mine**").startswith("| **mine** | 31.50 | 0.89")
    assert text.startswith(
        "**BSD68**, photos: 2, scored by promptir.\nShares photos with training: sets.\n\n"
    )


def test_what_compares_is_marked_too():
    assert line_of(
        beside_reported("daclip_rainy", replace(BSD68, protocol=read_protocol("daclip")), ROWS, "x"), "MAXIM"
    ).endswith("| yes |")


def test_what_does_not_compare_is_marked():
    text = beside_reported("bsd68_noise25", BSD68, ROWS[:1], "mine")

    others = [line for line in lines_of(text) if "**mine**" not in line]
    assert all("not comparable: ours is of 1 of 2 photos" in line for line in others)


def test_columns_that_nobody_has_are_left_out():
    with_distances = beside_reported("daclip_rainy", BSD68, ROWS, "mine")
    without = beside_reported("bsd68_noise25", BSD68, ROWS, "mine")

    assert "| LPIPS | FID |" in with_distances
    assert "LPIPS" not in without


def test_nothing_reported_is_nothing_shown():
    assert beside_reported("mine", BSD68, ROWS, "mine") == ""


def test_the_text_is_our_table_and_what_is_reported():
    scores = Scores({"mine": BSD68, "bsd68_noise25": BSD68}, {"mine": ROWS, "bsd68_noise25": ROWS}, {}, {})

    table, *reported = as_text(scores, "mine").split("\n\n")

    assert table.splitlines()[2].startswith("| BSD68 (by promptir) | 2 |")
    assert len(reported) == 2  # its heading and its table


def test_what_ran_the_restorer_is_said_where_it_is_not_as_ever():
    scores = Scores({"bsd68_noise25": BSD68}, {"bsd68_noise25": ROWS}, {}, {}, "onnx in float32")

    text = as_text(scores, "mine")

    assert "\n\nRun by onnx in float32.\n\n**BSD68**" in text
    assert line_of(text, r"**mine, onnx in float32**")


def test_what_was_left_out_is_said_once_for_each_reason():
    scores = Scores(
        {}, {}, {"a": "https://x", "b": "https://y", "c": "https://x"}, {"d": "no blur", "e": "no blur"}
    )

    assert left_out(scores) == [
        "not here: a, c, from https://x",
        "not here: b, from https://y",
        "name one of these to be told what goes where",
        "not scored: d, e: no blur",
    ]
    assert left_out(Scores({}, {}, {}, {})) == []
