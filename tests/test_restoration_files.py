"""Folders as users really have them: every file gets its line, and the rest goes on."""

import numpy as np
import pytest
import torch
from PIL import Image

from dino_ir.errors import DataError
from dino_ir.files.images import Photo, read_photo, write_photo
from dino_ir.photos import Options
from dino_ir.places import Job, plan
from dino_ir.restoration import Result, restore_files
from dino_ir.restorers.identity import Identity

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8))


def rows_of(folder, *out, **coding):
    return list(restore_files(Identity(), plan([folder], *out), options=Options(**coding)))


def test_every_file_that_is_an_image_by_name_gets_a_line(tmp_path):
    for name, kind in {"a.jpg": "jpeg", "b.gif": "gif", "c.bmp": "bmp", "d.jp2": "jpeg2000"}.items():
        PICTURE.save(tmp_path / name, kind)
    for name in ("e.cr2", "f.NEF", "g.heic", "notes.txt"):
        (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic" if name == "g.heic" else b"MM\0*")
    (tmp_path / "h.png").touch()

    rows = rows_of(tmp_path)

    assert [(row.photo.name, row.status) for row in rows] == [
        ("a.jpg", "restored"),
        ("b.gif", "restored"),
        ("c.bmp", "failed"),
        ("d.jp2", "failed"),
        ("e.cr2", "failed"),
        ("f.NEF", "failed"),
        ("g.heic", "failed"),
        ("h.png", "failed"),
    ]
    assert [row.result.name for row in rows[:2]] == ["a_restored.jpg", "b_restored.png"]
    assert str(rows[2]).endswith("c.bmp is a BMP, which cannot be read; save it as PNG or TIFF first")
    assert all(len(str(row).splitlines()) == 1 for row in rows)


def test_links_that_lead_nowhere_get_a_line(tmp_path):
    PICTURE.save(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "c.png").symlink_to(tmp_path / "c.png")

    rows = rows_of(tmp_path)

    assert [row.status for row in rows] == ["restored", "failed", "failed"]
    assert rows[1].message == f"{tmp_path / 'b.png'} does not exist"


def test_a_raw_file_beside_its_developed_one_is_in_nobodys_way(tmp_path):
    PICTURE.save(tmp_path / "a.png")
    (tmp_path / "a.nef").write_bytes(b"MM\0*")

    rows = rows_of(tmp_path)

    assert [(row.photo.name, row.status) for row in rows] == [("a.nef", "failed"), ("a.png", "restored")]


def test_what_could_not_be_kept_is_in_the_line(tmp_path):
    PICTURE.convert("CMYK").save(tmp_path / "a.tif", save_all=True, append_images=[PICTURE.convert("CMYK")])

    (row,) = rows_of(tmp_path)

    assert row.message == "the first of 2 pages; CMYK became RGB"
    assert str(row).endswith(f"a_restored.tif ({row.seconds:.1f} s; the first of 2 pages; CMYK became RGB)")


def test_results_may_all_be_of_one_kind(tmp_path):
    for name in ("a.jpeg", "b.png", "c.tif", "below/d.webp", "e.gif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        PICTURE.save(tmp_path / name)

    jobs = plan([tmp_path], tmp_path / "out", ".jpg")

    names = [job.result.relative_to(tmp_path / "out").as_posix() for job in jobs]
    assert names == ["a.jpeg", "b.jpg", "below/d.jpg", "c.jpg", "e.jpg"]
    assert [row.status for row in restore_files(Identity(), jobs)] == ["restored"] * 5
    assert all(job.result.read_bytes()[:2] == b"\xff\xd8" for job in jobs)


def test_a_file_of_another_kind_than_asked_for_is_refused(tmp_path):
    PICTURE.save(tmp_path / "a.png")

    with pytest.raises(DataError, match=r"b\.png is no JPEG; name it b\.jpg"):
        plan([tmp_path / "a.png"], tmp_path / "b.png", ".jpg")
    assert plan([tmp_path / "a.png"], tmp_path / "b.jpeg", ".jpg")[0].result.name == "b.jpeg"


def test_photos_that_would_become_one_fail_and_the_rest_goes_on(tmp_path):
    for name in ("a.png", "a.tif", "b.png"):
        PICTURE.save(tmp_path / name)

    rows = rows_of(tmp_path, None, ".jpg")

    assert [(row.photo.name, row.status) for row in rows] == [
        ("a.png", "failed"),
        ("a.tif", "failed"),
        ("b.png", "restored"),
    ]
    result = tmp_path / "a_restored.jpg"
    assert rows[0].message == f"{tmp_path / 'a.tif'} would become {result} too; restore them separately"
    assert not result.exists()


def test_coding_is_passed_on(tmp_path):
    write_photo(tmp_path / "a.png", Photo(torch.rand(3, 9, 9), 16))
    job = Job(tmp_path / "a.png", tmp_path / "b.png")

    (small,) = restore_files(Identity(), [job], options=Options(max_pixels=80))
    (shallow,) = restore_files(Identity(), [job], options=Options(depth=8))

    assert (small.status, "9 x 9 pixels" in small.message) == ("failed", True)
    assert (shallow.status, read_photo(job.result).bits) == ("restored", 8)


def test_names_too_long_with_the_mark_fail_alone(tmp_path):
    for name in ("x" * 250 + ".png", "y.png"):
        PICTURE.save(tmp_path / name)

    rows = rows_of(tmp_path)

    assert [row.status for row in rows] == ["failed", "restored"]


@pytest.mark.parametrize("name", ["two\nlines.png", "\x1b[31mred.png", "\udcff\udcfe.png"])
def test_a_line_is_one_line_of_text_whatever_the_name(tmp_path, name):
    PICTURE.save(tmp_path / "plain.png")
    (tmp_path / "plain.png").rename(tmp_path / name)
    (tmp_path / f"broken {name}").write_text("no picture")

    lines = [str(row) for row in rows_of(tmp_path)]

    assert len(lines) == 2
    assert all(line.isprintable() and line.encode() for line in lines)


def test_a_folder_that_cannot_be_made_is_said(tmp_path, monkeypatch):
    PICTURE.save(tmp_path / "a.png")

    def refuse(*_arguments, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    (row,) = rows_of(tmp_path, tmp_path / "out")

    assert row.status == "failed"
    assert row.message == f"cannot write {tmp_path / 'out' / 'a.png'}: Permission denied"


def test_alpha_fails_for_a_jpeg_and_the_rest_goes_on(tmp_path):
    PICTURE.save(tmp_path / "b.png")
    seen_through = PICTURE.copy()
    seen_through.putalpha(7)
    seen_through.save(tmp_path / "a.png")

    rows = list(restore_files(Identity(), plan([tmp_path], None, ".jpg")))

    assert [row.status for row in rows] == ["failed", "restored"]
    assert "a JPEG has no alpha" in rows[0].message


class Black(Identity):
    def forward(self, degraded, view=None):
        return degraded * 0


@pytest.mark.parametrize("limit", [4_000_000, 100], ids=["small", "large"])
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "avif", "tiff"])
def test_a_photo_that_is_not_changed_is_copied(tmp_path, monkeypatch, kind, limit):
    monkeypatch.setattr("dino_ir.photos.LARGE", limit)
    tags = Image.Exif()
    tags[0x0112] = 6
    photo = tmp_path / f"a.{kind}"
    PICTURE.save(photo, exif=tags)
    jobs = {name: Job(photo, tmp_path / f"{name}.{kind}") for name in ("no_strength", "kept", "asked")}

    (untouched,) = restore_files(Black(), [jobs["no_strength"]], Options(strength=0))
    (kept,) = restore_files(Black(), [jobs["kept"]])
    (asked,) = restore_files(Black(), [jobs["asked"]], Options(strength=0, quality=40, depth=8))

    assert (untouched.status, untouched.message) == ("restored", "")
    assert (kept.status, asked.status) == ("kept", "restored")
    assert jobs["no_strength"].result.read_bytes() == jobs["kept"].result.read_bytes() == photo.read_bytes()
    assert jobs["asked"].result.read_bytes() != photo.read_bytes()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_what_becomes_of_another_kind_or_was_not_read_as_it_is_is_no_copy(tmp_path):
    PICTURE.save(tmp_path / "a.png")
    PICTURE.save(tmp_path / "b.tif", save_all=True, append_images=[PICTURE])
    PICTURE.save(tmp_path / "c.jpg", "png")  # content counts, not the name
    (tmp_path / "d.png").write_bytes(b"no picture")
    jobs = plan([tmp_path / "a.png"], tmp_path / "a.webp")
    jobs += plan([tmp_path / name for name in ("b.tif", "c.jpg", "d.png")])

    rows = list(restore_files(Identity(), jobs, Options(strength=0)))

    assert [row.status for row in rows] == ["restored", "restored", "restored", "failed"]
    assert [row.result.read_bytes()[:3] for row in rows[:3]] == [b"RIF", b"II*", b"\xff\xd8\xff"]
    assert rows[1].message == "the first of 2 pages"


def test_a_copy_that_cannot_be_written_fails_and_leaves_nothing(tmp_path, monkeypatch):
    PICTURE.save(tmp_path / "a.png")

    def refuse(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dino_ir.restoration.shutil.copyfileobj", refuse)
    (row,) = restore_files(Identity(), plan([tmp_path / "a.png"]), Options(strength=0))

    result = tmp_path / "a_restored.png"
    assert (row.status, row.message) == ("failed", f"cannot write {result}: No space left on device")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("status", ["restored", "failed", "skipped"])
def test_no_message_leaves_no_trace(status, tmp_path):
    line = str(Result(tmp_path / "a", tmp_path / "b", status, "", 1.26))

    assert not line.endswith((";", "; )"))
