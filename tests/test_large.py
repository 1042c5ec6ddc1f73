"""Photos that are restored piece by piece, from file to file: the same files as those restored in memory."""

import errno
from itertools import product

import numpy as np
import pytest
import pyvips
import torch
import torch.nn.functional as F
from PIL import Image

from dino_ir import tiling
from dino_ir.contracts import Restorer
from dino_ir.errors import ImageError
from dino_ir.files.images import read_photo, write_photo
from dino_ir.files.scratch import Scratch
from dino_ir.formats.vips import profile_of_display_p3
from dino_ir.photos import LARGE, Options, fit_colours, is_large, restore_large, restore_photo
from dino_ir.restorers.identity import Identity

DISPLAY_P3 = profile_of_display_p3()
SIZE = (70, 90)


class Blur(Restorer):
    multiple_of = 8

    def forward(self, degraded, view=None):
        return F.avg_pool2d(F.pad(degraded, (3, 3, 3, 3), mode="replicate"), 7, stride=1)


class Guided(Blur):
    """Adds what it saw of the whole at the tile's place."""

    def look(self, photo):
        return F.interpolate(photo, (5, 6), mode="bilinear", antialias=True)

    def forward(self, degraded, view=None):
        seen = view.map * view.box.mean()
        return super().forward(degraded) * 0.9 + seen.mean(dim=(2, 3), keepdim=True) * 0.1


class Whole(Blur):
    works_in_tiles = False

    def __init__(self):
        super().__init__()
        self.sizes = []

    def forward(self, degraded, view=None):
        self.sizes.append(tuple(degraded.shape[-2:]))
        return super().forward(degraded)


def save(path, channels=3, bits=8, orientation=1, profile=None, **options):
    top = {8: 255, 16: 65535, 32: 1}[bits]
    values = np.random.default_rng(channels).random((*SIZE, channels)) * top
    if channels in (2, 4):
        values[20:50, 30:, -1] = 0
    number = {8: np.uint8, 16: np.uint16, 32: np.float32}[bits]
    form = {8: "uchar", 16: "ushort", 32: "float"}[bits]
    space = {8: ("b-w", "srgb"), 16: ("grey16", "rgb16"), 32: ("b-w", "scrgb")}[bits][channels > 2]
    content = values.round() if bits < 32 else values
    image = pyvips.Image.new_from_memory(content.astype(number).tobytes(), *SIZE[::-1], channels, form)
    image = image.copy(interpretation=space, xres=11.8, yres=11.8)
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    image.set_type(pyvips.GValue.blob_type, "xmp-data", b'<x tiff:Orientation="6"/>')
    if profile:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    image.write_to_file(str(path), **options)
    return path


def in_memory(restorer, photo, result, options):
    restored = restore_photo(restorer, read_photo(photo), options.tile, options.strength)
    fitted = fit_colours(restored, result)
    return fitted.notes + write_photo(result, fitted, options.quality, options.depth)


def both(folder, restorer, photo, suffix, options):
    """The notes and the bytes of the two ways."""
    ways = {"memory": in_memory, "pieces": restore_large}
    made = {name: folder / f"{name}{suffix}" for name in ways}
    notes = [way(restorer, photo, made[name], options) for name, way in ways.items()]
    return notes, [result.read_bytes() for result in made.values()]


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(tiling, "OVERLAP", 16)
    monkeypatch.setattr(tiling, "LOOK_PIXELS", 1000)


KINDS = [(".png", 8), (".png", 16), (".tif", 8), (".tif", 16), (".tif", 32), (".webp", 8), (".jpg", 8)]
CASES = [
    (kind, channels, orientation, profile)
    for kind, channels, orientation, profile in product(KINDS, (1, 2, 3, 4), (1, 5, 6), (None, DISPLAY_P3))
    if (kind[0] != ".jpg" or channels in (1, 3)) and not (profile and channels < 3)
]


@pytest.mark.parametrize("restorer", [Identity(), Guided()], ids=["identity", "guided"])
@pytest.mark.parametrize(("kind", "channels", "orientation", "profile"), CASES)
def test_both_ways_write_the_same_file(tmp_path, restorer, kind, channels, orientation, profile):
    suffix, bits = kind
    coding = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    photo = save(tmp_path / f"a{suffix}", channels, bits, orientation, profile, **coding)

    notes, files = both(tmp_path, restorer, photo, suffix, Options(tile=32))

    assert notes[0] == notes[1]
    assert files[0] == files[1]


@pytest.mark.parametrize("suffix", [".avif", ".webp", ".png", ".tif"])
@pytest.mark.parametrize("options", [Options(40, 0.5, depth=8), Options(40, 0), Options("off"), Options()])
def test_both_ways_take_the_same_options(tmp_path, suffix, options):
    photo = save(tmp_path / "a.png", 4, 16, 8, DISPLAY_P3)

    notes, files = both(tmp_path, Guided(), photo, suffix, options)

    assert notes[0] == notes[1]
    assert files[0] == files[1]


def test_cmyk_and_exif_go_both_ways_alike(tmp_path):
    tags = Image.Exif()
    tags[0x010F], tags[0x0112] = "A maker", 6
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 4), dtype=np.uint8)
    Image.fromarray(pixels, "CMYK").save(tmp_path / "a.jpg", exif=tags)

    notes, files = both(tmp_path, Guided(), tmp_path / "a.jpg", ".tif", Options(32))

    assert notes[0] == notes[1] == ("CMYK became RGB",)
    assert files[0] == files[1]


def test_a_jpegs_quality_and_density_are_kept_by_both(tmp_path):
    photo = save(tmp_path / "a.jpg", Q=71, subsample_mode="on")

    _notes, files = both(tmp_path, Identity(), photo, ".jpg", Options(32))

    assert files[0] == files[1]
    with Image.open(tmp_path / "pieces.jpg") as image:
        assert image.info["dpi"] == pytest.approx((300, 300), abs=1)


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_damage_is_found_by_both(tmp_path, suffix):
    photo = save(tmp_path / f"a{suffix}", **({"compression": "deflate"} if suffix == ".tif" else {}))
    content = bytearray(photo.read_bytes())
    content[3000:3040] = b"\xff\xd9" * 20
    photo.write_bytes(content)

    notes, files = both(tmp_path, Identity(), photo, ".png", Options(32))

    assert notes[0] == notes[1] == ("it is damaged and was read as far as it goes",)
    assert files[0] == files[1]


@pytest.mark.parametrize("cut", [0, 40, 3000])
def test_what_is_cut_short_fails_alike_and_leaves_nothing(tmp_path, cut):
    photo = save(tmp_path / "a.tif")
    photo.write_bytes(photo.read_bytes()[:cut])

    problems = []
    for way in (in_memory, restore_large):
        with pytest.raises(ImageError) as problem:
            way(Identity(), photo, tmp_path / "b.tif", Options())
        problems.append(str(problem.value))

    assert problems[0] == problems[1]
    assert list(tmp_path.iterdir()) == [photo]


def test_floats_outside_the_range_fail_alike(tmp_path):
    image = pyvips.Image.black(90, 70, bands=3).cast("float").draw_rect([2.0, 0, 0], 80, 60, 1, 1)
    image.copy(interpretation="scrgb").write_to_file(tmp_path / "a.tif")

    with pytest.raises(ImageError, match=r"floats outside \[0, 1\]"):
        restore_large(Identity(), tmp_path / "a.tif", tmp_path / "b.tif", Options(32))


def test_a_restorer_of_whole_photos_gets_the_whole(tmp_path):
    restorer = Whole()

    _notes, files = both(tmp_path, restorer, save(tmp_path / "a.png"), ".png", Options(16))

    assert restorer.sizes == [(72, 96), (72, 96)]
    assert files[0] == files[1]


def test_alpha_that_a_jpeg_cannot_hold_is_refused_before_any_work(tmp_path):
    restorer = Whole()
    restorer.__class__.works_in_tiles = True

    with pytest.raises(ImageError, match="a JPEG has no alpha"):
        restore_large(restorer, save(tmp_path / "a.png", 4), tmp_path / "b.jpg")
    restorer.__class__.works_in_tiles = False

    assert restorer.sizes == []


def test_a_full_disk_is_said_of_the_result(tmp_path, monkeypatch):
    def put(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Scratch, "put", put)

    with pytest.raises(ImageError, match=r"cannot write .*b\.png: No space left on device"):
        restore_large(Identity(), save(tmp_path / "a.png"), tmp_path / "b.png")

    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_missing_folder_is_said(tmp_path):
    with pytest.raises(ImageError, match="cannot write"):
        restore_large(Identity(), save(tmp_path / "a.png"), tmp_path / "none" / "b.png")


@pytest.mark.parametrize("options", [Options(tile=0), Options(strength=2)])
def test_options_that_make_no_sense_are_refused(tmp_path, options):
    with pytest.raises(ImageError, match="expected a"):
        restore_large(Identity(), save(tmp_path / "a.png"), tmp_path / "b.png", options)


def test_too_many_pixels_are_refused(tmp_path):
    with pytest.raises(ImageError, match="--max-pixels 100"):
        restore_large(Identity(), save(tmp_path / "a.png"), tmp_path / "b.png", Options(max_pixels=100))


def test_what_is_large_is_known_by_the_header(tmp_path):
    side = int(LARGE**0.5)
    pyvips.Image.black(side + 1, side + 1).write_to_file(tmp_path / "large.png")
    pyvips.Image.black(side - 1, side - 1).write_to_file(tmp_path / "small.png")
    (tmp_path / "no.png").write_text("no picture")

    large = [name for name in ("large", "small", "no", "missing") if is_large(tmp_path / f"{name}.png")]

    assert large == ["large"]
    assert not is_large(tmp_path)


def test_progress_is_told_in_tiles(tmp_path):
    told = []

    restore_large(
        Identity(), save(tmp_path / "a.png"), tmp_path / "b.png", Options(40), lambda *n: told.append(n)
    )

    assert told == [(done, len(told)) for done in range(1, len(told) + 1)]
    assert len(told) > 1


def test_memory_that_runs_short_half_way_does_not_show(tmp_path, monkeypatch):
    monkeypatch.setattr(tiling, "_SMALLEST", 16)

    class Short(Blur):
        left = 3

        def forward(self, degraded, view=None):
            self.left -= 1
            if not self.left:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return super().forward(degraded)

    photo = save(tmp_path / "a.png")

    restore_large(Short(), photo, tmp_path / "b.png", Options(40))
    restore_large(Blur(), photo, tmp_path / "c.png", Options(20))

    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "c.png").read_bytes()
