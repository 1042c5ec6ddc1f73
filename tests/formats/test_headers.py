import errno
import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image

from dino_ir.formats.headers import (
    IMAGE_SUFFIXES,
    KNOWN_SUFFIXES,
    READ_SUFFIXES,
    Traits,
    is_like_an_image,
    kind_of_content,
    no_file,
    read_traits,
    refusal,
)

COLOURS = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
PICTURE = Image.fromarray(COLOURS)


def saved(kind, **options):
    file = io.BytesIO()
    PICTURE.save(file, kind, **options)
    return file


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + bytes(4)


def png(*chunks):
    every = [chunk(b"IHDR", bytes(13)), *chunks, chunk(b"IDAT", b"")]
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + b"".join(every))


def avif(primaries, transfer):
    file = saved("avif")
    before, mark, after = file.getvalue().partition(b"colrnclx")
    assert mark
    return io.BytesIO(before + mark + struct.pack(">HH", primaries, transfer) + after[4:])


@pytest.mark.parametrize("quality", range(1, 101))
def test_a_jpegs_quality_is_that_it_was_written_with(quality):
    assert read_traits(saved("jpeg", quality=quality)).quality == quality


def test_a_jpegs_quality_is_also_found_in_what_libvips_writes():
    for quality in (40, 75, 92):
        written = pyvips.Image.new_from_array(COLOURS).write_to_buffer(".jpg", Q=quality)

        assert read_traits(io.BytesIO(written)).quality == quality


@pytest.mark.parametrize(("subsampling", "expected"), [("4:4:4", False), ("4:2:2", False), ("4:2:0", True)])
def test_only_colour_of_half_the_resolution_is_subsampled(subsampling, expected):
    assert read_traits(saved("jpeg", subsampling=subsampling)).is_subsampled is expected


def test_a_grey_or_progressive_jpeg_is_read_too():
    file = io.BytesIO()
    PICTURE.convert("L").save(file, "jpeg", quality=70, progressive=True)

    assert read_traits(file) == Traits(quality=70)


PICTURES = {"save_all": True, "append_images": [PICTURE.rotate(180), PICTURE.rotate(90)]}


def test_further_pictures_in_a_jpeg_are_noted():
    assert read_traits(saved("mpo", **PICTURES)).notes == ("the first of 3 pictures",)


def test_previews_and_gain_maps_are_no_further_pictures():
    content = saved("mpo", **PICTURES).getvalue()
    second = content.index(b"MPF\0") + 4 + 50 + 16  # behind the index's start, its tags, and the first
    preview = content[:second] + bytes.fromhex("02000100") + content[second + 4 :]
    light = np.linspace(0, 4, 64 * 96 * 3, dtype=np.float32).reshape(64, 96, 3)
    with_gain_map = pyvips.Image.new_from_array(light, interpretation="scrgb").uhdrsave_buffer()

    assert read_traits(io.BytesIO(preview)).notes == ("the first of 2 pictures",)
    assert b"MPF\0" in with_gain_map
    assert read_traits(io.BytesIO(with_gain_map)).notes == ()


def test_a_damaged_index_of_pictures_tells_less_and_raises_nothing():
    content = saved("mpo", **PICTURES).getvalue()
    index = content.index(b"MPF\0")

    for place in range(index, index + 120):
        for value in (0, 1, 0x7F, 0xFF):
            damaged = content[:place] + bytes([value]) + content[place + 1 :]
            assert isinstance(read_traits(io.BytesIO(damaged)), Traits)


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"lossless": True}, None), ({"quality": 60}, 90), ({"exif": b"Exif\0\0II*\0", "lossless": True}, None)],
)
def test_a_webp_is_lossless_or_not(options, expected):
    assert read_traits(saved("webp", **options)).quality == expected


@pytest.mark.parametrize(("lossless", "expected"), [(True, None), (False, 90)])
def test_the_first_frame_of_an_animated_webp_tells(lossless, expected):
    frames = {"save_all": True, "append_images": [PICTURE.rotate(90)], "lossless": lossless}

    assert read_traits(saved("webp", **frames)).quality == expected


@pytest.mark.parametrize("kind", ["png", "tiff", "gif"])
def test_other_kinds_are_without_loss(kind):
    assert read_traits(saved(kind)) == Traits()


def test_an_animated_png_is_noted():
    frames = {"save_all": True, "append_images": [PICTURE.rotate(180), PICTURE.rotate(90)]}

    assert read_traits(saved("png", **frames)).notes == ("the first of 3 frames",)


@pytest.mark.parametrize(
    ("chunks", "is_noted"),
    [
        ([chunk(b"gAMA", struct.pack(">I", 45455))], False),
        ([chunk(b"gAMA", struct.pack(">I", 100000))], True),
        ([chunk(b"gAMA", struct.pack(">I", 100000)), chunk(b"sRGB", b"\0")], False),
        ([chunk(b"gAMA", struct.pack(">I", 100000)), chunk(b"iCCP", b"a\0\0")], False),
    ],
)
def test_a_png_of_another_gamma_is_noted_unless_better_is_known(chunks, is_noted):
    assert bool(read_traits(png(*chunks)).notes) is is_noted


@pytest.mark.parametrize(
    ("primaries", "transfer", "expected"),
    [
        (1, 13, Traits(90)),
        (2, 2, Traits(90)),
        (12, 13, Traits(90, is_display_p3=True)),
        (9, 16, Traits(90, hdr="PQ", notes=("its colours were taken for sRGB's",))),
        (12, 18, Traits(90, hdr="HLG", is_display_p3=True)),
    ],
)
def test_an_avif_tells_its_colours_by_code_points(primaries, transfer, expected):
    assert read_traits(avif(primaries, transfer)) == expected


def test_a_png_tells_its_colours_by_code_points_unless_it_has_a_profile():
    points = chunk(b"cICP", bytes([12, 13, 0, 1]))

    assert read_traits(png(points)) == Traits(is_display_p3=True)
    assert read_traits(png(points, chunk(b"iCCP", b"a\0\0"))) == Traits()


@pytest.mark.parametrize("kind", ["jpeg", "mpo", "png", "webp", "avif", "tiff", "gif"])
def test_a_header_cut_anywhere_tells_less_and_raises_nothing(kind):
    content = saved(kind).getvalue()

    for size in range(min(len(content), 700)):
        assert isinstance(read_traits(io.BytesIO(content[:size])), Traits)
    assert is_like_an_image(io.BytesIO(content))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "AVIF", "TIFF", "GIF"])
def test_content_tells_its_kind(kind):
    assert kind_of_content(saved(kind.lower())) == kind
    assert kind_of_content(io.BytesIO(b"no picture")) is None


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.NEF", b"MM\0*", "a camera's raw file; develop it"),
        ("a.tif", b"II*\0\x10\0\0\0CR\2\0", "a camera's raw file"),
        ("a.jpg", b"\0\0\0\x18ftypcrx \0\0\0\1", "a camera's raw file"),
        ("a.raf", b"FUJIFILMCCD-RAW ", "a camera's raw file"),
        ("a.bmp", b"BM\0\0", "a BMP, which cannot be read; save it as PNG or TIFF first"),
        ("a.jpg", b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC,"),
        ("a.avif", b"\0\0\0\x18ftypavis\0\0\0\0", "an animated AVIF,"),
        ("a.jp2", b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000,"),
        ("a.jxl", b"\xff\x0a\0", "a JPEG XL,"),
        ("a.psd", b"8BPS\0\1", "a Photoshop document,"),
        ("a.exr", b"v/1\x01", "an OpenEXR image,"),
        ("a.hdr", b"#?RADIANCE\n", "a Radiance image,"),
        ("a.png", b"%PDF-1.4", "a PDF,"),
    ],
)
def test_what_cannot_be_read_is_named_with_what_to_do(tmp_path, name, content, words):
    assert refusal(tmp_path / name, io.BytesIO(content)).startswith(f"is {words}")


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "avif", "tiff", "gif"])
def test_what_can_be_read_is_not_refused_whatever_its_name(tmp_path, kind):
    assert refusal(tmp_path / "a.bmp", saved(kind)) is None


def test_kinds_that_are_written_are_read_and_those_are_known():
    assert {*IMAGE_SUFFIXES} < {*READ_SUFFIXES} < {*KNOWN_SUFFIXES}
    assert {".cr2", ".cr3", ".nef", ".arw", ".dng", ".bmp", ".gif", ".heic"} <= {*KNOWN_SUFFIXES}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (Path.mkdir, "is a folder"),
        (Path.absolute, "does not exist"),
        (Path.touch, "is empty"),
        (os.mkfifo, "is a pipe or a device"),
        (lambda path: path.symlink_to("/dev/zero"), "is a pipe or a device"),
        (lambda path: path.symlink_to(path), "does not exist"),
    ],
)
def test_where_nothing_can_be_read_one_says_why(tmp_path, make, words):
    make(tmp_path / "a.png")

    assert no_file(tmp_path / "a.png").startswith(words)


def test_a_file_is_one(tmp_path):
    (tmp_path / "a").write_text("a")

    assert no_file(tmp_path / "a") is None


def test_a_folder_that_cannot_be_read_says_why(tmp_path, monkeypatch):
    def refuse(_path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "scandir", refuse)

    assert no_file(tmp_path) == "cannot be read: Permission denied"


def test_a_name_that_is_too_long_is_said(tmp_path):
    assert no_file(tmp_path / ("a" * 300)) == "cannot be read: File name too long"
