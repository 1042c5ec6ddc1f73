import json

import pytest
import torch

from dino_ir.contracts import Restorer
from dino_ir.errors import DataError, ImageError
from dino_ir.files.images import Photo, read_photo, write_photo
from dino_ir.looks import keep_apart, write_looks
from dino_ir.photos import Options
from dino_ir.places import Job, plan
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


@pytest.mark.parametrize(("option", "place"), [("html", "."), ("html", "b.jpg"), ("compare", "a.png")])
def test_a_wrong_place_is_said_before_work(tmp_path, option, place):
    make(tmp_path, "a.png")

    with pytest.raises(DataError, match="name a f"):
        list(write_looks(restore_files(Identity(), plan([tmp_path / "a.png"])), **{option: tmp_path / place}))

    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_what_an_earlier_run_restored_is_on_the_page_too(tmp_path):
    make(tmp_path, "a.png", "b.png")
    first, second = plan([tmp_path])
    list(restore_files(Identity(), [first]))

    list(write_looks(restore_files(Identity(), [second]), html=tmp_path / "page.html", done=[first]))

    assert (tmp_path / "page.html").read_text().count('class="photo"') == 2


def test_a_pair_that_cannot_be_written_does_not_stop_the_rest(tmp_path, monkeypatch):
    make(tmp_path, "a.png", "b.png")

    def fail(path, *_pictures):
        if path.name == "a_restored.png.jpg":
            raise ImageError("the disk is full")

    monkeypatch.setattr("dino_ir.looks.write_side_by_side", fail)
    results = list(write_looks(restore_files(Identity(), plan([tmp_path])), compare=tmp_path / "pairs"))

    assert [result.status for result in results] == ["restored", "restored"]
    assert [result.message for result in results] == ["not compared: the disk is full", ""]


def test_the_photo_is_looked_at_though_nothing_is_changed(tmp_path):
    make(tmp_path, "a.png")

    (result,) = restore_files(Identity(), plan([tmp_path]), Options(strength=0), has_records=True)

    assert result.record is not None
    assert (result.record["width"], result.record["height"]) == (50, 40)
    assert result.record["change"]["psnr"] is None


@pytest.mark.parametrize("name", ["a.png", "b.png", "link.html"])
def test_nothing_is_written_over_a_photo_a_result_or_another_file(tmp_path, name):
    make(tmp_path, "a.png")
    (tmp_path / "link.html").symlink_to(tmp_path / "page.html")
    job = Job(tmp_path / "a.png", tmp_path / "b.png")

    with pytest.raises(DataError, match="choose another name"):
        keep_apart([None, tmp_path / "page.html", tmp_path / name], [job])


@pytest.mark.parametrize("names", [["a.png"], ["a.png", "a.png.jpg"]])
def test_a_pair_is_never_written_over_a_photo_of_its_name(tmp_path, names):
    make(tmp_path, "a.png", "a.png.jpg")
    before = (tmp_path / "a.png.jpg").read_bytes()
    jobs = plan([tmp_path / name for name in names], tmp_path / "out")

    list(write_looks(restore_files(Identity(), jobs), compare=tmp_path, jobs=jobs))

    assert (tmp_path / "a.png.jpg").read_bytes() == before
    assert read_photo(tmp_path / "a.png_2.jpg").pixels.shape == (3, 40, 104)


def test_a_pair_does_not_take_the_place_of_a_later_result(tmp_path):
    make(tmp_path, "in/a.png", "in/a.png.jpg")
    jobs = plan([tmp_path / "in"], tmp_path / "out")

    results = list(write_looks(restore_files(Identity(), jobs), compare=tmp_path / "out", jobs=jobs))

    assert [result.status for result in results] == ["restored", "restored"]
    assert read_photo(tmp_path / "out/a.png.jpg").pixels.shape == (3, 40, 50)


def test_pairs_of_an_earlier_run_are_replaced_if_one_says_so_but_photos_are_not(tmp_path):
    make(tmp_path, "a.png", "b.png", "b.png.jpg", "pairs/a.png.jpg")
    (tmp_path / "pairs/b.png.jpg").symlink_to(tmp_path / "b.png.jpg")
    jobs = plan([tmp_path / name for name in ("a.png", "b.png", "b.png.jpg")], tmp_path / "out")

    results = restore_files(Identity(), jobs, overwrite=True)
    list(write_looks(results, compare=tmp_path / "pairs", jobs=jobs, overwrite=True))

    assert read_photo(tmp_path / "pairs/a.png.jpg").pixels.shape == (3, 40, 104)
    assert (tmp_path / "pairs/b.png.jpg").is_symlink()
    assert (tmp_path / "pairs/b.png_2.jpg").is_file()
