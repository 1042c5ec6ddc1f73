import json

import pytest
import torch

from dino_ir.contracts import Restorer
from dino_ir.errors import DataError
from dino_ir.files.images import Photo, read_photo, write_photo
from dino_ir.looks import write_looks
from dino_ir.places import plan
from dino_ir.restoration import restore_files
from dino_ir.restorers.identity import Identity


class Ripple(Restorer):
    """Changes every number by one level, and no place in the mean."""

    multiple_of = 2

    def forward(self, degraded, view=None):
        even = degraded.clone()
        even[..., ::2] += 1 / 255
        even[..., 1::2] -= 1 / 255
        return even.clamp(0, 1)


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_photo(folder / name, Photo(torch.rand(3, 40, 50)))


def test_each_photo_has_a_line_that_says_what_was_found_and_how_much_was_changed(tmp_path):
    make(tmp_path, "in/a.png", "in/b.png")
    (tmp_path / "in" / "c.png").write_bytes(b"\x89PNG and no more")
    jobs = plan([tmp_path / "in"], tmp_path / "out")

    list(write_looks(restore_files(Ripple(), jobs, has_records=True), tmp_path / "report.jsonl"))

    first, second, third = map(json.loads, (tmp_path / "report.jsonl").read_text().splitlines())
    assert (first["status"], second["status"], third["status"]) == ("restored", "restored", "failed")
    assert (first["width"], first["height"]) == (50, 40)
    assert first["change"]["mean"] == pytest.approx(1, abs=0.05)
    assert first["change"]["largest"] == 1
    assert isinstance(first["found"], dict)
    assert "change" not in third


def test_lines_are_appended(tmp_path):
    make(tmp_path, "a.png")
    for _time in range(2):
        results = restore_files(Identity(), plan([tmp_path / "a.png"]), has_records=True)
        list(write_looks(results, tmp_path / "deep" / "report.jsonl"))

    lines = (tmp_path / "deep/report.jsonl").read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["restored", "skipped"]


def test_photos_of_one_name_in_several_folders_are_all_compared(tmp_path):
    make(tmp_path, "in/x/a.png", "in/y/a.png")

    jobs = plan([tmp_path / "in"], tmp_path / "out")
    list(write_looks(restore_files(Identity(), jobs), compare=tmp_path / "pairs"))

    names = sorted(path.name for path in (tmp_path / "pairs").iterdir())
    assert names == ["a.png.jpg", "a.png_2.jpg"]
    assert read_photo(tmp_path / "pairs" / names[0]).pixels.shape == (3, 40, 104)


def test_the_page_has_what_was_restored_and_what_lay_there(tmp_path):
    make(tmp_path, "a.png", "b.png")
    list(restore_files(Identity(), plan([tmp_path / "a.png"])))

    list(write_looks(restore_files(Identity(), plan([tmp_path])), html=tmp_path / "page.html"))

    assert (tmp_path / "page.html").read_text().count("<article>") == 2


@pytest.mark.parametrize(("option", "place"), [("html", "."), ("compare", "a.png")])
def test_a_wrong_place_is_said_before_work(tmp_path, option, place):
    make(tmp_path, "a.png")

    with pytest.raises(DataError, match="name a f"):
        list(write_looks(restore_files(Identity(), plan([tmp_path / "a.png"])), **{option: tmp_path / place}))

    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
