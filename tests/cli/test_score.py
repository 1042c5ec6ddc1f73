"""`dino-ir score`, as a user types it."""

import csv
import os
import shutil

import pytest
import torch

from dino_ir.files.images import Photo, read_rgb, write_photo


@pytest.fixture
def restored(folder):
    """The photos of the folder, darker by a tenth."""
    for path in (folder / "photos").iterdir():
        write_photo(folder / "restored" / path.name, Photo((read_rgb(path) / 255 - 0.1).clamp(0, 1)))
    return "restored"


@pytest.fixture(autouse=True)
def _made(folder):
    (folder / "restored").mkdir()


def test_a_photo_is_scored_by_all_protocols_side_by_side(call, folder, restored):
    code, output = call("score", restored, "photos", "--protocol", "all", "-o", "scores/all.csv")

    with (folder / "scores/all.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert code == 0
    for name in ("default", "promptir", "restormer", "kair", "reside"):
        assert f"| {name} | " in output
        assert [line["image"] for line in lines if line["protocol"] == name] == ["a", "b"]
    assert output.endswith("\n2 photos\n")


def test_equal_folders_score_infinity(call, folder):
    shutil.copytree(folder / "photos", folder / "same")

    code, output = call("score", "same", "photos")

    assert code == 0
    assert "| default | this project's own | inf | – | 1.0000 | 1.0000 to 1.0000 |" in output


def test_photos_without_a_partner_are_listed_and_code_1(call, folder, restored):
    for number in range(7):
        write_photo(folder / f"photos/more{number}.png", Photo(torch.zeros(3, 20, 20)))

    code, output = call("score", restored, "photos")

    assert code == 1
    assert "photos has more0, more1, more2, more3, more4 and 2 more, which restored has not" in output
    assert "2 photos" in output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["absent", "photos"], "no folder absent\n"),
        (["photos", "absent"], "no folder absent\n"),
        (
            ["photos", "photos", "-o", "keep.png"],
            "expected a name that ends in .csv, got keep.png: name it keep.csv",
        ),
        (["photos", "photos", "-o", "photos"], "photos is a folder: name a file, such as photos/name.csv"),
        (["photos", "photos", "-o", "kept.csv"], "kept.csv exists: choose another name, or replace it by"),
        (["photos", "photos", "-o", "kept.csv/a.csv"], "kept.csv is a file, so kept.csv/a.csv cannot lie"),
        (["restored", "photos"], "no photo in restored has the name of one in photos"),
        (["photos", "photos", "--protocol", "matlab"], "no protocol 'matlab'; there are: "),
        (["photos", "photos", "--metric", "beauty"], "no 'beauty' in metrics/"),
    ],
)
def test_a_wrong_command_is_one_sentence_and_code_2(call, folder, words, said):
    (folder / "kept.csv").write_text("mine")

    code, output = call("score", *words)

    assert code == 2
    assert output.startswith("dino-ir: ")
    assert said in output
    assert len(output.splitlines()) == 1
    assert (folder / "kept.csv").read_text() == "mine"
    assert not (folder / "keep.png").exists()


def test_a_file_that_exists_is_replaced_if_one_says_so(call, folder):
    (folder / "kept.csv").write_text("mine")

    code, _output = call("score", "photos", "photos", "-o", "kept.csv", "--overwrite")

    assert code == 0
    assert (folder / "kept.csv").read_text().startswith("image,protocol,psnr,ssim\na,default,inf,")


def test_a_file_that_cannot_be_written_is_said_before_anything_is_scored(call, folder, monkeypatch):
    monkeypatch.setattr("os.access", lambda _path, mode: mode != os.W_OK)
    monkeypatch.setattr("dino_ir.folders.score_pairs", lambda *_options: pytest.fail("scored"))

    code, output = call("score", "photos", "photos", "-o", "scores.csv")

    assert (code, output) == (2, "dino-ir: scores.csv cannot be written: choose another place\n")


def test_the_table_is_printed_before_its_file_is_written(call, folder, monkeypatch):
    def fill(_scored, _path):
        raise OSError(28, "No space left on device", "scores.csv")

    monkeypatch.setattr("dino_ir.folders.write_scores", fill)

    code, output = call("score", "photos", "photos", "-o", "scores.csv")

    assert code == 1
    assert "| default | this project's own | inf |" in output
    assert "dino-ir: scores.csv: No space left on device\n" in output


def test_a_photo_too_small_for_a_protocol_has_no_score_there(call, folder):
    write_photo(folder / "photos/a.png", Photo(torch.zeros(3, 15, 40)))

    alone, every = (call("score", "photos", "photos", "--protocol", name) for name in ("promptir", "all"))

    assert alone[0] == 1
    assert "too small for a protocol that cuts to multiples of 16" in alone[1]
    assert every[0] == 0
    assert "| – | – | – | – |" in next(line for line in every[1].splitlines() if "| promptir |" in line)
    assert "| default | this project's own | inf |" in every[1]
