"""Files as users really have them: damaged, mislabelled, animated, of odd names, on full disks."""

import os
import resource
import subprocess
import sys
import zlib

import numpy as np
import pytest
import pyvips
import tifffile
import torch
from PIL import Image

from dino_ir.errors import ImageError
from dino_ir.files import images
from dino_ir.files.images import Photo, read_photo, write_photo
from dino_ir.formats import vips

COLOURS = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
PICTURE = Image.fromarray(COLOURS)
FRAMES = {"save_all": True, "append_images": [PICTURE.rotate(180), PICTURE.rotate(90)]}


@pytest.mark.parametrize(
    ("name", "kind", "frames"),
    [
        ("a.gif", "gif", "frames"),
        ("a.webp", "webp", "frames"),
        ("a.png", "png", "frames"),
        ("a.tif", "tiff", "pages"),
    ],
)
def test_the_first_of_several_is_read_with_a_note(tmp_path, name, kind, frames):
    PICTURE.convert("L").save(tmp_path / name, kind, **FRAMES)

    photo = read_photo(tmp_path / name)

    assert f"the first of 3 {frames}" in photo.notes
    assert photo.pixels.shape[1:] == (12, 16)


@pytest.mark.parametrize(("name", "kind"), [("a.png", "png"), ("a.tif", "tiff"), ("a.gif", "gif")])
def test_a_palette_becomes_colours_with_a_note(tmp_path, name, kind):
    PICTURE.convert("P").save(tmp_path / name, kind)

    photo = read_photo(tmp_path / name)

    with Image.open(tmp_path / name) as expected:
        assert np.array_equal(photo.pixels.movedim(0, 2) * 255, np.asarray(expected.convert("RGB")))
    assert photo.notes == ("its palette became full colours",)


def test_premultiplied_colours_are_divided_with_a_note(tmp_path):
    colours = np.dstack([COLOURS // 2, np.full((12, 16), 128, np.uint8)])
    tifffile.imwrite(tmp_path / "a.tif", colours, photometric="rgb", extrasamples=["assocalpha"])

    photo = read_photo(tmp_path / "a.tif")

    expected = torch.tensor(np.minimum(colours[..., :3] / 128.0, 1)).movedim(2, 0).float()
    torch.testing.assert_close(photo.pixels, expected, atol=1.01 / 255, rtol=0)
    assert photo.notes == ("its colours were divided by their alpha",)


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.tif", "a.bmp", "a.jpeg.png", "a"])
@pytest.mark.parametrize("kind", ["png", "gif"])
def test_content_counts_not_the_name(tmp_path, name, kind):
    PICTURE.convert("L").save(tmp_path / name, kind)

    assert torch.equal(
        read_photo(tmp_path / name).pixels[0] * 255, torch.tensor(np.array(PICTURE.convert("L")))
    )


@pytest.mark.parametrize("name", ["a.nef", "a.CR2", "a.dng"])
def test_raw_files_are_refused_though_their_thumbnail_could_be_read(tmp_path, name):
    tifffile.imwrite(tmp_path / name, COLOURS, photometric="rgb")

    with pytest.raises(ImageError, match=f"{name} is a camera's raw file; develop it to TIFF or JPEG first"):
        read_photo(tmp_path / name)


def test_a_dng_by_another_name_is_still_one(tmp_path):
    tags = [(50706, 1, 4, b"\1\4\0\0", True)]
    tifffile.imwrite(tmp_path / "a.tif", COLOURS, photometric="rgb", extratags=tags)

    with pytest.raises(ImageError, match="is a DNG, a camera's raw file; develop it"):
        read_photo(tmp_path / "a.tif")


def test_a_lab_tiff_becomes_srgb_unless_it_is_of_8_bits(tmp_path):
    grey = {8: np.array([128, 0, 0], "u1"), 16: np.array([32768, 0, 0], "u2")}
    for bits, numbers in grey.items():
        tifffile.imwrite(tmp_path / f"{bits}.tif", np.tile(numbers, (12, 16, 1)), photometric="cielab")

    photo = read_photo(tmp_path / "16.tif")

    torch.testing.assert_close(photo.pixels, torch.full((3, 12, 16), 0.466), atol=5e-3, rtol=0)
    assert photo.notes == ("LABS became RGB",)
    with pytest.raises(ImageError, match=r"8\.tif is a Lab TIFF of 8 bits; save it as RGB or 16 bits$"):
        read_photo(tmp_path / "8.tif")


def test_larger_photos_than_allowed_are_refused_by_their_header(tmp_path):
    PICTURE.save(tmp_path / "a.png")
    huge = bytearray((tmp_path / "a.png").read_bytes())
    huge[16:24] = (50_000).to_bytes(4) * 2
    huge[29:33] = zlib.crc32(huge[12:29]).to_bytes(4)
    (tmp_path / "huge.png").write_bytes(huge)

    with pytest.raises(
        ImageError, match=r"huge\.png has 50000 x 50000 pixels, more than --max-pixels 300000000"
    ):
        read_photo(tmp_path / "huge.png")
    with pytest.raises(ImageError, match="16 x 12 pixels, more than --max-pixels 191"):
        read_photo(tmp_path / "a.png", max_pixels=191)
    assert read_photo(tmp_path / "a.png", max_pixels=192).pixels.shape == (3, 12, 16)


@pytest.mark.parametrize(
    "name",
    [
        "with space.png",
        "Ünïcode 写真.png",
        "-dash.png",
        "two\nlines.png",
        "a[1].png",
        "a.png[page=1]",
        "[x]",
        "%s.png",
        "a:b.png",
        os.fsdecode(b"\xff\xfe.png"),
    ],
)
def test_any_name_is_read_and_written(tmp_path, name):
    PICTURE.save(tmp_path / "plain.png")
    (tmp_path / "plain.png").rename(tmp_path / name)

    photo = read_photo(tmp_path / name)
    write_photo(tmp_path / f"{name}.tif", photo)

    assert torch.equal(read_photo(tmp_path / f"{name}.tif").pixels, photo.pixels)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff", "avif", "gif"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_what_is_cut_short_is_said_to_be(tmp_path, capfd, kind, share):
    large = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8))
    large.save(tmp_path / "a", kind)
    content = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(content[: int(share * len(content))])

    with pytest.raises(ImageError, match=r"/a is (damaged, cut short or unusual: |cut short$)") as problem:
        read_photo(tmp_path / "a")

    assert len(str(problem.value).splitlines()) == 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("kind", "options"), [("jpeg", {}), ("tiff", {"compression": "tiff_adobe_deflate"})])
def test_pixels_that_are_damaged_are_said_to_be(tmp_path, capfd, kind, options):
    large = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8))
    large.save(tmp_path / "a", kind, **options)
    content = bytearray((tmp_path / "a").read_bytes())
    content[3000:3040] = b"\xff\xd9" * 20
    (tmp_path / "a").write_bytes(content)

    photo = read_photo(tmp_path / "a")

    assert photo.notes == ("it is damaged and was read as far as it goes",)
    assert photo.pixels.shape == (3, 60, 80)
    assert capfd.readouterr() == ("", "")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")

    with pytest.raises(ImageError, match="is a pipe or a device"):
        read_photo(tmp_path / "a.png")


def test_a_file_one_may_not_read_is_named(tmp_path, monkeypatch):
    PICTURE.save(tmp_path / "a.png")

    def refuse(*_arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(ImageError, match=r"a\.png cannot be read: Permission denied$"):
        read_photo(tmp_path / "a.png")


def test_a_folder_one_may_not_write_to_is_named(tmp_path, monkeypatch):
    def refuse(*_arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(vips, "encode", refuse)
    with pytest.raises(ImageError, match=r"cannot write .*a\.png: \[Errno 13\] Permission denied$"):
        write_photo(tmp_path / "a.png", Photo(torch.rand(3, 4, 4)))


def test_a_full_disk_leaves_no_half_file(tmp_path):
    code = (
        "import resource, signal, torch\n"
        "from dino_ir.errors import ImageError\n"
        "from dino_ir.files.images import Photo, write_photo\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "for suffix in ('png', 'tif', 'jpg', 'webp', 'avif'):\n"
        "    write_photo(f'small.{suffix}', Photo(torch.rand(3, 4, 4)))\n"
        "    try: write_photo(f'large.{suffix}', Photo(torch.rand(3, 300, 300)))\n"
        "    except ImageError as problem: print(problem)\n"
    )

    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)

    assert [line.partition(": ")[0] for line in done.stdout.splitlines()] == [
        f"cannot write large.{suffix}" for suffix in ("png", "tif", "jpg", "webp", "avif")
    ]
    assert done.stderr == ""
    assert {path.stem for path in tmp_path.iterdir()} == {"small"}


def test_a_bomb_does_not_take_memory(tmp_path):
    image = pyvips.Image.black(17_000, 17_000, bands=3)  # 289 megapixels in a megabyte
    image.copy(interpretation="srgb").write_to_file(str(tmp_path / "bomb.png"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(ImageError, match="17000 x 17000"):
        read_photo(tmp_path / "bomb.png", max_pixels=1e8)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kilobytes


def gain_map(orientation):
    """A photo with an HDR gain map, as phones take them, lying as `orientation` says."""
    light = np.linspace(0, 4, 64 * 96 * 3, dtype=np.float32).reshape(64, 96, 3)
    hdr = pyvips.Image.new_from_array(light, interpretation="scrgb").uhdrsave_buffer(Q=90)
    photo = pyvips.Image.new_from_buffer(hdr, "").copy()
    photo.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    return photo


@pytest.mark.parametrize("orientation", [1, 6])
def test_an_hdr_gain_map_is_kept_in_a_jpeg_and_turned_with_it(tmp_path, orientation):
    gain_map(orientation).write_to_file(str(tmp_path / "a.jpg"))

    photo = read_photo(tmp_path / "a.jpg")
    kept, lost = write_photo(tmp_path / "b.jpg", photo), write_photo(tmp_path / "b.png", photo)

    result = pyvips.Image.new_from_file(str(tmp_path / "b.jpg"))
    small = pyvips.Image.new_from_buffer(result.get("gainmap-data"), "")
    assert (result.width < result.height, small.width < small.height) == (orientation == 6,) * 2
    assert (kept, lost) == ((), ("its HDR gain map has no place in PNG",))


def test_code_points_of_display_p3_become_its_profile(tmp_path):
    PICTURE.save(tmp_path / "a.avif")
    content = (tmp_path / "a.avif").read_bytes()
    before, mark, after = content.partition(b"colrnclx")
    (tmp_path / "a.avif").write_bytes(before + mark + b"\0\x0c\0\x0d" + after[4:])
    (tmp_path / "hdr.avif").write_bytes(before + mark + b"\0\x09\0\x10" + after[4:])

    assert read_photo(tmp_path / "a.avif").metadata["icc-profile-data"] == vips.profile_of_display_p3()
    with pytest.raises(ImageError, match=r"hdr\.avif is an HDR photo \(PQ\)"):
        read_photo(tmp_path / "hdr.avif")


@pytest.mark.parametrize("orientation", [6])
def test_exif_that_is_damaged_is_left_out_with_a_note(tmp_path, orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    content = tags.tobytes()
    place = content.index(b"\x01\x12\0\x03")
    PICTURE.save(
        tmp_path / "a.webp", exif=content[: place + 3] + b"\x01" + content[place + 4 :], lossless=True
    )

    photo = read_photo(tmp_path / "a.webp")

    assert photo.notes == ("its EXIF is damaged and was left out",)
    assert "exif-data" not in photo.metadata


def test_metadata_too_long_for_a_jpeg_are_left_out_with_a_note(tmp_path):
    photo = Photo(torch.rand(3, 4, 4), metadata={"exif-data": b"II*\0\x08\0\0\0" + bytes(70_000)})

    assert write_photo(tmp_path / "a.jpg", photo) == ("its EXIF is too long and was left out",)


def test_unknown_libvips_writes_what_it_can(tmp_path, monkeypatch):
    monkeypatch.setattr(images.exif, "fill_blank", lambda *_arguments: False)
    photo = Photo(torch.rand(3, 4, 4), metadata={"exif-data": b"II*\0\x08\0\0\0\0\0" + bytes(4)})

    (note,) = write_photo(tmp_path / "a.png", photo)

    assert note.startswith("its EXIF was left out")
    assert (tmp_path / "a.png").exists()
