"""Every kind of file through the identity: pixels bit for bit where the kind is lossless, metadata equal.

Files are made by libvips, Pillow and tifffile, and what comes out is read by them.
"""

import io
import struct
from itertools import product

import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image

from dino_ir.formats.vips import profile_of_display_p3
from dino_ir.photos import Options
from dino_ir.places import Job
from dino_ir.restoration import restore_files
from dino_ir.restorers.identity import Identity

TURNED = {
    1: lambda array: array,
    2: lambda array: array[:, ::-1],
    3: lambda array: array[::-1, ::-1],
    4: lambda array: array[::-1],
    5: lambda array: array.swapaxes(0, 1),
    6: lambda array: np.rot90(array, -1),
    7: lambda array: array[::-1, ::-1].swapaxes(0, 1),
    8: lambda array: np.rot90(array, 1),
}  # what the eight orientations of EXIF ask for

DISPLAY_P3 = profile_of_display_p3()
CURVE = DISPLAY_P3.index(b"para")
LINEAR_P3 = DISPLAY_P3[:CURVE] + b"para" + bytes(8) + struct.pack(">i", 65536) + DISPLAY_P3[CURVE + 16 :]
GREY_HEAD = struct.pack(">I", 160) + DISPLAY_P3[4:16] + b"GRAYXYZ " + DISPLAY_P3[24:128]
GREY = GREY_HEAD + struct.pack(">I4sII", 1, b"kTRC", 144, 14) + b"curv" + struct.pack(">IIHH", 0, 1, 461, 0)
PROFILES = {"none": None, "Display P3": DISPLAY_P3, "linear P3": LINEAR_P3, "grey 1.8": GREY}

NUMBERS = {8: np.uint8, 10: np.uint16, 12: np.uint16, 16: np.uint16, 32: np.float32}
KINDS = {
    (".png", 8): {},
    (".png", 16): {},
    (".tif", 8): {},
    (".tif", 16): {},
    (".tif", 32): {},
    (".webp", 8): {"lossless": True, "exact": True},
    (".avif", 8): {"lossless": True, "bitdepth": 8},
    (".avif", 10): {"lossless": True, "bitdepth": 10},
    (".avif", 12): {"lossless": True, "bitdepth": 12},
}
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><d tiff:Orientation="%d">words</d></x:xmpmeta>'
CAPTION = b"\x1c\x02\x78\0\x07Caption\x1c\x02\x19\0\x03abc"


def numbers(bits, channels):
    top = 2**bits - 1 if bits < 32 else 65535
    array = np.random.default_rng(channels).integers(0, top, (10, 7, channels), endpoint=True)
    array[0, :2] = [[0] * channels, [top] * channels]
    if channels in (2, 4):
        array[3:5, :, -1] = 0  # and what lies under it stays too
    array = array << (16 - bits) if 8 < bits < 16 else array
    return (array / top if bits == 32 else array).astype(NUMBERS[bits])


def save(path, array, profile, orientation, options):
    """By libvips; the orientation goes where the kind of file has a place for it."""
    height, width, channels = array.shape
    name = {"uint8": "uchar", "uint16": "ushort", "float32": "float"}[array.dtype.name]
    spaces = {"uchar": ("b-w", "srgb"), "ushort": ("grey16", "rgb16"), "float": ("b-w", "scrgb")}
    image = pyvips.Image.new_from_memory(array.tobytes(), width, height, channels, name)
    image = image.copy(interpretation=spaces[name][channels > 2])
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    if profile:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    image.write_to_file(str(path), **options)


def load(path):
    image = pyvips.Image.new_from_file(str(path))
    array = image.numpy().reshape(image.height, image.width, image.bands)
    has_profile = image.get_typeof("icc-profile-data")
    has_turn = image.get_typeof("orientation")
    return (
        array,
        image.get("icc-profile-data") if has_profile else None,
        image.get("orientation") if has_turn else 1,
    )


def restored(source, result, **coding):
    (row,) = restore_files(Identity(), [Job(source, result)], options=Options(**coding))
    assert row.status == "restored", row
    return row


ROWS = [
    (kind, channels, name, orientation)
    for kind, channels, name, orientation in product(KINDS, (1, 2, 3, 4), PROFILES, range(1, 9))
    if (name == "none" or (name == "grey 1.8") == (channels < 3))
    and (kind[0] != ".avif" or orientation == 1)  # an AVIF is turned by a box of its own: see below
    and (kind[0] not in (".avif", ".webp") or name != "grey 1.8")  # they know no grey: see below
]


@pytest.mark.parametrize(("kind", "channels", "name", "orientation"), ROWS)
def test_lossless_files_come_back_bit_for_bit_in_their_own_colours(
    tmp_path, kind, channels, name, orientation
):
    (suffix, bits), profile = kind, PROFILES[name]
    array = numbers(bits, channels)
    save(tmp_path / f"a{suffix}", array, profile, orientation, KINDS[kind])

    row = restored(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}", quality=100)

    came, kept, turn = load(tmp_path / f"b{suffix}")
    given, given_profile, _turn = load(tmp_path / f"a{suffix}")
    expected = TURNED[orientation](given)
    assert (came.dtype, came.shape) == (expected.dtype, expected.shape)
    assert np.array_equal(came, expected)
    assert suffix in (".avif", ".webp") or np.array_equal(given, array)
    assert (kept, turn) == (given_profile, 1)
    assert row.message == ""


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["none", "Display P3"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_jpeg_comes_back_as_near_as_its_quality_is(tmp_path, channels, name, orientation):
    ramp = np.linspace(20, 230, 48 * 40).reshape(48, 40, 1).repeat(channels, 2).astype(np.uint8)
    profile = PROFILES[name] if channels == 3 else None
    save(tmp_path / "a.jpg", ramp, profile, orientation, {"Q": 90})

    restored(tmp_path / "a.jpg", tmp_path / "b.jpg")

    came, kept, turn = load(tmp_path / "b.jpg")
    given, _profile, _turn = load(tmp_path / "a.jpg")
    assert np.abs(came.astype(int) - TURNED[orientation](given)).max() <= 4
    assert (kept, turn) == (profile, 1)


def some_exif(orientation):
    tags = Image.Exif()
    tags[0x010F], tags[0x0112], tags[0x4746] = "A maker", orientation, 5
    camera = tags.get_ifd(0x8769)
    camera[0x9003], camera[0x829A] = "2020:01:02 03:04:05", 0.008
    camera[0x927C], camera[0xA002] = b"Maker\0\x02" + bytes(range(200)), 16
    tags.get_ifd(0x8825)[2] = (48.0, 12.0, 34.5)
    return tags


def told(image):
    tags = image.getexif()
    first = {tag: tags.get(tag) for tag in (0x010F, 0x4746)}
    return first, dict(tags.get_ifd(0x8769)), dict(tags.get_ifd(0x8825)), tags.get(0x0112, 1)


def with_iptc(content):
    segment = b"Photoshop 3.0\0" + b"8BIM\4\4\0\0" + struct.pack(">I", len(CAPTION)) + CAPTION
    return content[:2] + b"\xff\xed" + struct.pack(">H", 2 + len(segment)) + segment + content[2:]


def save_with_everything(path, orientation):
    pixels = np.random.default_rng(0).integers(0, 256, (10, 16, 3), dtype=np.uint8)
    if path.suffix == ".tif":
        extra = [(274, 3, 1, orientation, True), (34675, 7, len(DISPLAY_P3), DISPLAY_P3, True)]
        extra += [
            (700, 1, len(XMP % orientation), XMP % orientation, True),
            (33723, 7, len(CAPTION), CAPTION, True),
        ]
        extra += [(271, 2, 8, "A maker", True), (18246, 3, 1, 5, True)]
        options = {"photometric": "rgb", "metadata": None, "resolution": (300, 300), "resolutionunit": 2}
        tifffile.imwrite(path, pixels, extratags=extra, **options)
        return
    file = io.BytesIO()
    options = {"icc_profile": DISPLAY_P3, "exif": some_exif(orientation), "dpi": (300, 300), "lossless": True}
    image = Image.fromarray(pixels)
    kind = {".jpg": "jpeg"}.get(path.suffix, path.suffix[1:])
    if kind != "png":  # Pillow writes no XMP there
        options["xmp"] = XMP % orientation
    image.save(file, kind, **options)
    path.write_bytes(with_iptc(file.getvalue()) if kind == "jpeg" else file.getvalue())


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("into", [".jpg", ".png", ".webp", ".tif", ".avif"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif"])
def test_metadata_come_back_equal_in_every_kind_of_file(tmp_path, suffix, into, orientation):
    source, result = tmp_path / f"a{suffix}", tmp_path / f"b{into}"
    save_with_everything(source, orientation)

    row = restored(source, result)

    lost = suffix in (".jpg", ".tif") and into not in (".jpg", ".tif")
    assert row.message == (f"its IPTC has no place in {kind_name(into)}" if lost else "")
    with Image.open(source) as before, Image.open(result) as after:
        was, is_now = told(before), told(after)
        if suffix != ".tif":
            was[1][0xA002] = after.width  # which tells the width of the photo
            assert is_now[1] == was[1]
        assert (is_now[0], is_now[2], is_now[3]) == (was[0], was[2], 1)
        assert after.info["icc_profile"] == DISPLAY_P3
        assert after.size == ((10, 16) if orientation == 6 else (16, 10))
        if suffix != ".png":
            xmp = after.info.get("xmp") or after.info["XML:com.adobe.xmp"].encode()
            assert xmp.rstrip(b"\0") == XMP % 1
        if into in (".jpg", ".png", ".tif") and suffix in (".jpg", ".png", ".tif"):
            assert after.info["dpi"] == pytest.approx((300, 300), abs=0.02)
    if not lost and suffix in (".jpg", ".tif"):
        assert CAPTION in result.read_bytes()


def kind_name(suffix):
    return {".png": "PNG", ".webp": "WebP", ".avif": "AVIF"}.get(suffix)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_avif_turned_by_its_own_box_comes_back_upright(tmp_path, orientation):
    pixels = np.random.default_rng(0).integers(0, 256, (10, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.avif", exif=some_exif(orientation))

    restored(tmp_path / "a.avif", tmp_path / "b.png")

    with Image.open(tmp_path / "a.avif") as before, Image.open(tmp_path / "b.png") as after:
        assert after.size == ((10, 16) if orientation > 4 else (16, 10))
        assert np.abs(np.asarray(after).astype(int) - load(tmp_path / "a.avif")[0]).max() == 0
        assert after.getexif().get(0x0112, 1) == 1
        assert before.getexif()[0x010F] == after.getexif()[0x010F]


@pytest.mark.parametrize("suffix", [".webp", ".avif"])
def test_grey_of_its_own_curve_becomes_srgb_where_a_kind_knows_no_grey(tmp_path, suffix):
    array = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    save(tmp_path / "a.png", array, GREY, 1, {})

    row = restored(tmp_path / "a.png", tmp_path / f"b{suffix}")

    came, profile, _turn = load(tmp_path / f"b{suffix}")
    light = (array / 255) ** (461 / 256)
    expected = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    assert (row.message, profile) == ("its grey became sRGB", None)
    assert np.abs(came - expected).max() <= 0.51


@pytest.mark.parametrize(("quality", "expected"), [(37, 37), (None, 83)])
def test_a_jpegs_quality_and_subsampling_follow_unless_asked(tmp_path, quality, expected):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    for subsampling in (0, 2):
        Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=83, subsampling=subsampling)

        restored(tmp_path / "a.jpg", tmp_path / f"{subsampling}.jpg", quality=quality)

    tables = io.BytesIO()
    Image.fromarray(pixels).save(tables, "jpeg", quality=expected)
    with (
        Image.open(tables) as one,
        Image.open(tmp_path / "0.jpg") as full,
        Image.open(tmp_path / "2.jpg") as half,
    ):
        assert one.quantization == full.quantization == half.quantization
        assert full.layer[0][1:3] == (1, 1)
        assert half.layer[0][1:3] == (2, 2)


def test_depth_follows_unless_asked(tmp_path):
    array = numbers(16, 3)
    save(tmp_path / "a.png", array, None, 1, {})

    rows = [restored(tmp_path / "a.png", tmp_path / f"{depth}.tif", depth=depth) for depth in (None, 8, 16)]

    read = [tifffile.imread(tmp_path / f"{depth}.tif") for depth in (None, 8, 16)]
    assert np.array_equal(read[0], array)
    assert np.array_equal(read[1], np.round(array / 257).astype(np.uint8))
    assert np.array_equal(read[2], array)
    assert {row.message for row in rows} == {""}
