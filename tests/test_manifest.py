import json

import pytest
import torch

from dino_ir.errors import DataError
from dino_ir.files.images import Photo, read_photo, write_photo
from dino_ir.manifest import Manifest
from dino_ir.places import plan
from dino_ir.restoration import restore_files
from dino_ir.restorers.identity import Identity
from dino_ir.unfinished import unfinished_name

SETTINGS = {"weights": "abc", "strength": 1.0}


@pytest.fixture
def run(tmp_path):
    """Restore all in in/ to out/, resuming by a manifest; what became of those that were left."""
    for name in ("a.png", "b.png", "below/a.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        write_photo(tmp_path / "in" / name, Photo(torch.rand(3, 6, 5)))

    def restore(settings=SETTINGS, only=None):
        manifest = Manifest(tmp_path / "notes/m.jsonl", settings, resumes=True)
        jobs = manifest.rest(plan([tmp_path / "in"], tmp_path / "out"))[:only]
        results = manifest.note(restore_files(Identity(), jobs))
        return [(row.photo.relative_to(tmp_path / "in").as_posix(), row.status) for row in results]

    return restore


def rows(folder):
    return [json.loads(line) for line in (folder / "notes/m.jsonl").read_bytes().splitlines()]


def test_each_photo_has_a_row_that_tells_all(tmp_path, run):
    (tmp_path / "in/b.png").write_text("no picture")

    run()

    one, two, three = rows(tmp_path)
    photo, result = tmp_path / "in/a.png", tmp_path / "out/a.png"
    assert one | {"seconds": 0} == {
        "photo": str(photo),
        "status": "restored",
        "message": "",
        "seconds": 0,
        "result": str(result),
        "photo_stamp": [photo.stat().st_size, photo.stat().st_mtime_ns],
        "result_stamp": [result.stat().st_size, result.stat().st_mtime_ns],
        "settings": SETTINGS,
    }
    assert 0 < one["seconds"] < 60
    assert (two["status"], two["result_stamp"]) == ("failed", None)
    assert "is not an image" in two["message"]
    assert three["photo"] == str(tmp_path / "in/below/a.png")


def test_what_is_done_is_not_done_again(tmp_path, run):
    run(only=1)

    assert run() == [("b.png", "restored"), ("below/a.png", "restored")]
    assert run() == []
    assert len(rows(tmp_path)) == 3


def test_what_failed_is_tried_again(tmp_path, run):
    content = (tmp_path / "in/b.png").read_bytes()
    (tmp_path / "in/b.png").write_bytes(content[:50])
    run()

    assert run() == [("b.png", "failed")]
    (tmp_path / "in/b.png").write_bytes(content)
    assert run() == [("b.png", "restored")]
    assert run() == []


def test_a_photo_that_changed_is_restored_again(tmp_path, run):
    run()
    write_photo(tmp_path / "in/a.png", Photo(torch.zeros(3, 2, 2)))

    assert run() == [("a.png", "restored")]
    assert read_photo(tmp_path / "out/a.png").pixels.shape == (3, 2, 2)


def test_a_photo_that_was_broken_for_a_while_is_restored_again(tmp_path, run):
    run()
    (tmp_path / "in/a.png").write_text("no picture")
    run()
    write_photo(tmp_path / "in/a.png", Photo(torch.zeros(3, 2, 2)))

    assert run() == [("a.png", "restored")]
    assert read_photo(tmp_path / "out/a.png").pixels.shape == (3, 2, 2)


def test_a_result_that_is_gone_is_made_again(tmp_path, run):
    run()
    (tmp_path / "out/below/a.png").unlink()

    assert run() == [("below/a.png", "restored")]


def test_other_settings_restore_all_again(tmp_path, run):
    run()

    assert [status for _name, status in run({**SETTINGS, "weights": "def"})] == ["restored"] * 3
    assert run({**SETTINGS, "weights": "def"}) == []


def test_a_result_that_somebody_changed_is_never_replaced(tmp_path, run):
    run()
    (tmp_path / "out/a.png").write_text("a night's work")
    write_photo(tmp_path / "in/a.png", Photo(torch.zeros(3, 2, 2)))

    assert run() == [("a.png", "skipped")]
    assert (tmp_path / "out/a.png").read_text() == "a night's work"


def test_a_photo_that_changes_while_it_is_restored_is_restored_again(tmp_path, run):
    manifest = Manifest(tmp_path / "notes/m.jsonl", SETTINGS)
    jobs = manifest.rest(plan([tmp_path / "in"], tmp_path / "out"))
    for _result in manifest.note(restore_files(Identity(), jobs[:1])):
        pass
    manifest = Manifest(tmp_path / "notes/m.jsonl", SETTINGS, resumes=True)
    jobs = manifest.rest(plan([tmp_path / "in"], tmp_path / "out"))
    write_photo(tmp_path / "in/b.png", Photo(torch.zeros(3, 2, 2)))  # after its stamp was taken
    for _result in manifest.note(restore_files(Identity(), jobs)):
        pass

    assert run() == [("b.png", "restored")]


@pytest.mark.parametrize("kept", [1, 9, 10, 60, -1])
def test_a_row_that_was_cut_short_is_cut_off_and_its_photo_skipped_or_done(tmp_path, run, kept):
    run()
    path = tmp_path / "notes/m.jsonl"
    *whole, torn = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole) + torn[:kept])

    assert run() == [("below/a.png", "skipped")]  # its result is there, and whole
    assert [row["status"] for row in rows(tmp_path)] == ["restored", "restored", "skipped"]


def test_what_was_left_unfinished_is_removed(tmp_path, run):
    run(only=1)
    left = unfinished_name(tmp_path / "out/b.png")
    left.write_bytes(b"half")

    run()

    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "b.png", "below"]


def test_a_manifest_is_not_written_over(tmp_path, run):
    run()

    with pytest.raises(DataError, match=r"m\.jsonl exists: go on with it by --resume"):
        Manifest(tmp_path / "notes/m.jsonl", SETTINGS)
    assert len(rows(tmp_path)) == 3


@pytest.mark.parametrize(
    "content", [b"Dear diary", b"\x89PNG\r\n", b"[1]\n", b'{"photo": "a"}\n', b"7\n", b"\n"]
)
def test_another_file_is_no_manifest_and_stays_as_it_is(tmp_path, content):
    (tmp_path / "m").write_bytes(content)

    with pytest.raises(DataError, match="is no manifest: line 1 "):
        Manifest(tmp_path / "m", SETTINGS, resumes=True)
    assert (tmp_path / "m").read_bytes() == content


def test_names_that_are_no_text_come_back(tmp_path):
    photo = tmp_path / "\udcff\n.png"
    write_photo(tmp_path / "a.png", Photo(torch.rand(3, 2, 2)))
    (tmp_path / "a.png").rename(photo)
    for expected in (1, 0):
        manifest = Manifest(tmp_path / "m.jsonl", SETTINGS, resumes=True)

        jobs = manifest.rest(plan([photo], tmp_path / "out"))

        assert len(list(manifest.note(restore_files(Identity(), jobs)))) == expected
