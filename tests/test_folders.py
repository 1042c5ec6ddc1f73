import csv
import math
import sys

import pytest
import torch

from dino_ir.errors import DataError, DinoIRError, ImageError, RecipeError
from dino_ir.files.images import Photo, write_photo
from dino_ir.folders import (
    as_markdown,
    check_border,
    frechet_distance,
    match_folders,
    score_pairs,
    write_scores,
)
from dino_ir.protocol import OURS, Protocol, protocol_names, read_protocol


def save(path, value, side=40):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_photo(path, Photo(torch.full((3, side, side), value / 255)))


@pytest.fixture
def folders(tmp_path):
    """Two photos restored and clean; in the first folder they are darker by 10, and by 20 of 255."""
    for name, value in (("a", 10), ("deep/b", 20)):
        save(tmp_path / f"restored/{name}.png", 100 - value)
        save(tmp_path / f"clean/{name}.tif", 100)
    return tmp_path / "restored", tmp_path / "clean"


def psnr(offset):
    return -20 * math.log10(offset / 255)


def test_photos_belong_together_by_their_names_without_suffix(folders):
    restored, clean = folders

    matched = match_folders(restored, clean)

    assert matched.pairs == {
        "a": (restored / "a.png", clean / "a.tif"),
        "deep/b": (restored / "deep/b.png", clean / "deep/b.tif"),
    }
    assert (matched.restored_alone, matched.clean_alone) == ([], [])


def test_photos_that_our_own_command_named_are_found(folders):
    restored, clean = folders
    (restored / "a.png").rename(restored / "a_restored.png")

    assert match_folders(restored, clean).pairs["a"] == (restored / "a_restored.png", clean / "a.tif")


def test_photos_without_a_partner_are_told(folders):
    restored, clean = folders
    save(restored / "more.png", 0)
    save(clean / "missing.png", 0)

    matched = match_folders(restored, clean)

    assert (matched.restored_alone, matched.clean_alone) == (["more"], ["missing"])
    assert len(matched.pairs) == 2


def test_two_photos_for_one_are_refused(folders):
    restored, clean = folders
    save(restored / "a_restored.png", 0)

    with pytest.raises(DataError, match=r"a_restored.png and .*a.png|a.png and .*a_restored.png"):
        match_folders(restored, clean)


def test_folders_that_share_no_name_are_refused(tmp_path):
    save(tmp_path / "restored/a.png", 1)
    save(tmp_path / "clean/b.png", 1)

    with pytest.raises(DataError, match="expected such as b with any suffix"):
        match_folders(tmp_path / "restored", tmp_path / "clean")
    for names in (("absent", "clean"), ("clean", "absent")):
        with pytest.raises(DataError, match=r"^no folder .*/absent$"):
            match_folders(*(tmp_path / name for name in names))


def test_a_photo_is_scored_by_every_protocol_side_by_side(folders):
    protocols = [read_protocol(name) for name in protocol_names()]

    first, second = score_pairs(match_folders(*folders).pairs, protocols, ["psnr", "ssim"])

    assert first.image == "a"
    assert list(first.scores) == protocol_names()
    assert first.scores["default"]["psnr"] == pytest.approx(psnr(10), abs=1e-4)
    assert second.scores["promptir"]["psnr"] == pytest.approx(psnr(20), abs=1e-4)
    # Luma of a grey image is 219 of 255 as steep.
    assert first.scores["allweather"]["psnr"] == pytest.approx(psnr(10 * 219 / 255), abs=1e-4)


def test_a_photo_too_small_for_one_of_several_protocols_has_no_score_there(folders):
    protocols = [OURS, Protocol(name="coarse", multiple=64), Protocol(name="wide", border=20)]

    first, _second = score_pairs(match_folders(*folders).pairs, protocols, ["psnr", "ssim"])

    assert first.scores["default"]["psnr"] == pytest.approx(psnr(10), abs=1e-4)
    for name in ("coarse", "wide"):
        assert list(first.scores[name]) == ["psnr", "ssim"]
        assert all(map(math.isnan, first.scores[name].values()))
    assert as_markdown([first], protocols).count("| – | – | – | – |") == 2


@pytest.mark.parametrize(
    ("protocol", "said"),
    [
        (Protocol(multiple=64), "an image of 40x40 is too small for a protocol that cuts to multiples of 64"),
        (Protocol(border=500), "^a: border 500 leaves nothing of 40 x 40$"),
    ],
)
def test_a_photo_too_small_for_the_only_protocol_is_refused(folders, protocol, said):
    with pytest.raises(ImageError, match=said):
        list(score_pairs(match_folders(*folders).pairs, [protocol], ["psnr"]))


def test_a_border_and_a_shift_leave_a_pixel_or_are_refused():
    protocol = Protocol(border=10, shift=5)

    check_border(protocol, torch.zeros(3, 31, 40), "a")
    with pytest.raises(ImageError, match=r"^a: border 10 and shift 5 leave nothing of 40 x 30$"):
        check_border(protocol, torch.zeros(3, 30, 40), "a")


def test_sizes_that_differ_are_refused(folders):
    restored, clean = folders
    save(restored / "a.png", 1, side=41)

    with pytest.raises(DataError, match="differ in size: 41x41 and 40x40"):
        list(score_pairs(match_folders(restored, clean).pairs, [OURS], ["psnr"]))


def test_a_metric_that_is_not_there_is_refused(folders):
    with pytest.raises(RecipeError, match="no 'beauty' in metrics/"):
        list(score_pairs(match_folders(*folders).pairs, [OURS], ["beauty"]))


def test_the_table_has_a_line_per_protocol(folders):
    protocols = [OURS, Protocol(name="mean_error", title="others", averaging="errors")]
    scored = list(score_pairs(match_folders(*folders).pairs, protocols, ["psnr", "ms_ssim"]))

    heads, _line, ours, others = as_markdown(scored, protocols).splitlines()

    low, high = psnr(20), psnr(10)
    assert heads == "| protocol | who scores like this | PSNR | 95 % | MS-SSIM | 95 % |"
    assert ours == (
        f"| default | this project's own | {(low + high) / 2:.2f} | {low:.2f} to {high:.2f} | – | – |"
    )
    assert f"| {-10 * math.log10((10**2 + 20**2) / 2 / 255**2):.2f} |" in others


def test_scores_are_written_one_line_per_photo_and_protocol(folders, tmp_path):
    protocols = [OURS, read_protocol("promptir")]

    write_scores(
        score_pairs(match_folders(*folders).pairs, protocols, ["psnr"]), tmp_path / "deep/scores.csv"
    )

    with (tmp_path / "deep/scores.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["image"], line["protocol"]) for line in lines] == [
        ("a", "default"),
        ("a", "promptir"),
        ("deep/b", "default"),
        ("deep/b", "promptir"),
    ]
    assert float(lines[0]["psnr"]) == pytest.approx(psnr(10), abs=1e-4)


def test_the_distance_between_sets_needs_two_photos_and_its_network(folders, monkeypatch):
    pairs = match_folders(*folders).pairs
    monkeypatch.setitem(sys.modules, "torchmetrics.image.fid", None)

    with pytest.raises(DinoIRError, match=r"fid needs torchmetrics, torch-fidelity .*dino-ir\[perceptual\]"):
        frechet_distance(pairs)
    with pytest.raises(DataError, match="two pairs or more, got 1"):
        frechet_distance({"a": pairs["a"]})
