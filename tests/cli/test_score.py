"""`dino-ir score`, as a user types it."""

import csv
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
        (["absent", "photos"], "no folder absent"),
        (["restored", "photos"], "no photo in restored has the name of one in photos"),
        (["photos", "photos", "--protocol", "matlab"], "no protocol 'matlab'; there are: "),
        (["photos", "photos", "--metric", "beauty"], "no 'beauty' in metrics/"),
    ],
)
def test_a_wrong_command_is_one_sentence_and_code_2(call, folder, words, said):
    code, output = call("score", *words)

    assert code == 2
    assert output.startswith("dino-ir: ")
    assert said in output
    assert len(output.splitlines()) == 1
