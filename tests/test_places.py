import errno
import os
from pathlib import Path

import pytest
import torch

from dino_ir.errors import DataError
from dino_ir.files.images import Photo, write_photo
from dino_ir.places import Job, plan
from dino_ir.restoration import restore_files
from dino_ir.restorers.identity import Identity


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_photo(folder / name, Photo(torch.rand(3, 6, 5)))
    return [folder / name for name in names]


@pytest.fixture
def locked(monkeypatch):
    """Make a folder that nobody can list, though root runs the tests."""
    scandir, folders = os.scandir, set[Path]()

    def guarded(path):
        if Path(path).resolve() in folders:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    def lock(folder):
        folder.mkdir(parents=True)
        folders.add(folder.resolve())
        return folder

    monkeypatch.setattr(os, "scandir", guarded)
    return lock


def results(jobs, folder):
    return [job.result.relative_to(folder).as_posix() for job in jobs]


def test_without_out_results_lie_beside_their_photos(tmp_path):
    paths = make(tmp_path, "a.jpg", "below/b.PNG")

    jobs = plan(paths)

    assert results(jobs, tmp_path) == ["a_restored.jpg", "below/b_restored.PNG"]


def test_out_is_a_file_for_one_photo(tmp_path):
    (photo,) = make(tmp_path, "a.jpg")

    jobs = plan([photo], tmp_path / "b.png")

    assert jobs == [Job(photo, tmp_path / "b.png")]


@pytest.mark.parametrize("out", ["out", "out.d"])
def test_out_is_a_folder_that_keeps_names_and_trees(tmp_path, out):
    make(tmp_path, "in/a.jpg", "in/below/b.tif", "c.webp")

    jobs = plan([tmp_path / "in", tmp_path / "c.webp"], tmp_path / out)

    assert results(jobs, tmp_path / out) == ["a.jpg", "below/b.tif", "c.webp"]


def test_kinds_that_cannot_be_written_become_png(tmp_path):
    jobs = plan([tmp_path / "a.gif", tmp_path / "b.heic"])

    assert results(jobs, tmp_path) == ["a_restored.png", "b.heic_restored.png"]


def test_results_are_not_restored_again(tmp_path):
    make(tmp_path, "a.jpg", "a_restored.jpg")

    beside, elsewhere = plan([tmp_path]), plan([tmp_path], tmp_path.with_name("elsewhere"))

    assert [job.photo.name for job in beside] == ["a.jpg"]
    assert [job.photo.name for job in elsewhere] == ["a.jpg", "a_restored.jpg"]


def test_a_command_may_be_given_again(tmp_path):
    paths = make(tmp_path, "a.jpg", "b.tif")
    list(restore_files(Identity(), plan(paths)))

    rows = list(restore_files(Identity(), plan(sorted(tmp_path.iterdir()))))

    assert [(row.photo, row.status) for row in rows] == [(path, "skipped") for path in paths]


def test_a_result_named_without_its_photo_is_a_photo(tmp_path):
    (path,) = make(tmp_path, "a_restored.jpg")

    assert plan([path]) == [Job(path, tmp_path / "a_restored_restored.jpg")]


def test_a_link_in_the_results_place_does_not_hide_the_photo(tmp_path):
    (photo,) = make(tmp_path, "a.png")
    (tmp_path / "a_restored.png").symlink_to(photo)

    with pytest.raises(DataError, match="would replace"):
        plan([photo])


def test_a_folder_may_have_the_name_of_an_image(tmp_path):
    (photo,) = make(tmp_path, "a.png")
    (tmp_path / "all.bmp").mkdir()

    assert plan([photo], tmp_path / "all.bmp") == [Job(photo, tmp_path / "all.bmp" / "a.png")]


def test_results_in_a_folder_below_are_no_photos(tmp_path):
    make(tmp_path, "a.jpg", "out/a.jpg")

    jobs = plan([tmp_path], tmp_path / "out")

    assert jobs == [Job(tmp_path / "a.jpg", tmp_path / "out" / "a.jpg")]


def test_a_photo_named_twice_is_restored_once(tmp_path):
    (photo,) = make(tmp_path, "a.jpg")

    assert plan([photo, tmp_path, photo]) == [Job(photo, tmp_path / "a_restored.jpg")]


@pytest.mark.parametrize(
    ("paths", "out", "message"),
    [
        (["x/a.png"], "x", r"would replace .*a\.png"),
        (["x/a.png"], "x/a.png", r"would replace .*a\.png"),
        (["x"], "x", r"would replace .*a\.png"),
        (["x/a.png", "y/a.png"], "out.png", "is one file"),
        (["x"], "out.png", "is one file"),
        (["x/a.png"], "out.BMP", r"cannot write .*out\.BMP; .* end in one of: .*\.webp$"),
        (["x"], "out.heic", "cannot write"),
        (["empty"], None, r"empty holds no photos \(.*\.png"),
    ],
)
def test_what_would_go_wrong_is_refused_before_work(tmp_path, paths, out, message):
    make(tmp_path, "x/a.png", "y/a.png")
    (tmp_path / "empty").mkdir()

    with pytest.raises(DataError, match=message):
        plan([tmp_path / path for path in paths], None if out is None else tmp_path / out)


def test_a_link_to_the_photo_is_the_photo(tmp_path):
    (photo,) = make(tmp_path, "a.png")
    (tmp_path / "link.png").symlink_to(photo)

    with pytest.raises(DataError, match="would replace"):
        plan([photo], tmp_path / "link.png")


def test_a_photo_spelt_in_two_ways_is_restored_once(tmp_path):
    (photo,) = make(tmp_path, "p/a.png")
    other = tmp_path / "p" / ".." / "p" / "a.png"

    assert plan([photo, other]) == [Job(photo, tmp_path / "p/a_restored.png")]
    assert plan([photo, other], tmp_path / "out") == [Job(photo, tmp_path / "out/a.png")]


def test_a_folder_that_cannot_be_read_is_a_photo_that_fails_unless_it_is_hidden(tmp_path, locked):
    make(tmp_path, "in/a.png")
    locked(tmp_path / "in/.hidden")
    folder = locked(tmp_path / "in/locked")

    rows = list(restore_files(Identity(), plan([tmp_path / "in"], tmp_path / "out")))

    assert [(row.photo.name, row.status) for row in rows] == [("a.png", "restored"), ("locked", "failed")]
    assert rows[1].message == f"{folder} cannot be read: Permission denied"


@pytest.mark.parametrize("out", [None, "out"])
@pytest.mark.parametrize("name", ["locked", "locked_restored", "."])
@pytest.mark.parametrize("is_listed", [False, True])
def test_a_named_folder_that_cannot_be_read_fails_alone(tmp_path, locked, monkeypatch, name, out, is_listed):
    (photo,) = make(tmp_path, "a.png")
    folder = locked(tmp_path / "in" / name)
    monkeypatch.chdir(folder)
    named = [Path(name) if name == "." else folder]

    jobs = plan([photo], out and tmp_path / out, listed=named) if is_listed else plan([photo, *named], out)

    assert [job.photo for job in jobs] == [photo, *named]


@pytest.mark.parametrize("name", ["a" * 300 + ".png", "locked/a.png"])
def test_a_path_that_cannot_be_looked_at_fails_alone(tmp_path, name):
    (photo,) = make(tmp_path, "a.png")

    for jobs in (plan([tmp_path / name, photo]), plan([photo], tmp_path / "out", listed=[tmp_path / name])):
        assert {job.photo.name for job in jobs} == {photo.name, Path(name).name}


@pytest.mark.parametrize(
    "arguments", [([""],), (["a.png", ""], "out"), (["a.png"], ""), (["a.png"], None, None, [""])]
)
def test_an_empty_path_is_refused(arguments):
    with pytest.raises(DataError, match="a path is empty"):
        plan(*arguments)
