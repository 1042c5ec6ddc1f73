import io
import struct

import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image

from dino_ir.formats.exif import blank, fill_blank, into_tiff, read_tiff, resolution, upright

COLOURS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
MAKER = b"Maker\0\x02" + bytes(range(200))


def some_exif(orientation=6):
    """EXIF as Pillow writes it, with tags in each directory."""
    tags = Image.Exif()
    tags[0x010F], tags[0x0112], tags[0x4746], tags[0x8298] = "A maker", orientation, 5, "(c) A person"
    tags[0x011A], tags[0x011B], tags[0x0128] = 300.0, 150.0, 2
    camera = tags.get_ifd(0x8769)
    camera[0x9003], camera[0x829A], camera[0x927C] = "2020:01:02 03:04:05", 0.008, MAKER
    camera[0xA002], camera[0xA003] = 4000, 3000
    tags.get_ifd(0x8825)[2] = (48.0, 12.0, 34.5)
    return tags


def told(tags):
    """Every tag but those that lead to others."""
    tree = {0: dict(tags), 0x8769: tags.get_ifd(0x8769), 0x8825: tags.get_ifd(0x8825)}
    leading = {0x8769, 0x8825}
    return {(name, tag): value for name, each in tree.items() for tag, value in each.items()} | {
        (0, tag): None for tag in leading
    }


def block_of(tags):
    return tags.tobytes().removeprefix(b"Exif\0\0")


def parsed(block):
    tags = Image.Exif()
    tags.load(b"Exif\0\0" + block)
    return tags


def block_in(byteorder):
    """A block by another writer of TIFFs, in either order of bytes."""
    file = io.BytesIO()
    extra = [(271, 2, 8, "A maker", True), (274, 3, 1, 6, True), (18246, 3, 1, 5, True)]
    tifffile.imwrite(file, COLOURS[:1, :1, 0], byteorder=byteorder, extratags=extra, metadata=None)
    return file.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_upright_block_tells_the_new_size_and_all_else(orientation):
    tags = some_exif(orientation)

    after = told(parsed(upright(block_of(tags), width=30, height=40)))

    new = {(0, 0x0112): 1, (0x8769, 0xA002): 30, (0x8769, 0xA003): 40}
    assert after == told(tags) | new


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_bytes_of_either_order_are_understood(byteorder):
    block = block_in(byteorder)

    changed = upright(block, 1, 1)

    before, after = parsed(block), parsed(changed)
    assert (before[0x0112], after[0x0112]) == (6, 1)
    assert (after[0x010F], after[0x4746]) == ("A maker", 5)
    assert sum(one != other for one, other in zip(block, changed)) == 1


def test_a_thumbnail_is_cut_off():
    first = struct.pack("<HHHII", 1, 274, 3, 1, 1)
    second = struct.pack("<HHHIII", 1, 259, 3, 1, 6, 0)
    start = b"II*\0\x08\0\0\0" + first

    changed = upright(start + struct.pack("<I", 26) + second, 1, 1)

    assert changed == start + struct.pack("<I", 0) + second


@pytest.mark.parametrize(
    ("unit", "expected"), [(2, (300 / 25.4, 150 / 25.4)), (3, (30, 15)), (None, (300 / 25.4, 150 / 25.4))]
)
def test_resolution_is_in_pixels_per_millimetre(unit, expected):
    tags = some_exif()
    tags[0x0128] = unit
    if unit is None:
        del tags[0x0128]

    assert resolution(block_of(tags)) == pytest.approx(expected)


@pytest.mark.parametrize("value", [0.0, 4e9])
def test_a_resolution_that_cannot_be_is_none(value):
    tags = some_exif()
    tags[0x011A] = value

    assert resolution(block_of(tags)) is None


def test_no_resolution_is_none():
    tags = Image.Exif()
    tags[0x010F] = "A maker"

    assert resolution(block_of(tags)) is None


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "avif"])
@pytest.mark.parametrize("length", [26, 300, 5000, 64000])
def test_a_blank_is_filled_with_a_block_of_any_length(tmp_path, kind, length):
    tags = Image.Exif()
    tags[0x010F] = "A maker"
    block = block_of(tags).ljust(length, b"\xa5")
    placeholder, token = blank(block)
    image = pyvips.Image.new_from_array(COLOURS)
    image.set_type(pyvips.GValue.blob_type, "exif-data", placeholder)
    image.write_to_file(str(tmp_path / f"a.{kind}"))

    is_filled = fill_blank(tmp_path / f"a.{kind}", block, token)

    with Image.open(tmp_path / f"a.{kind}") as written:
        written.load()
        assert is_filled
        assert dict(written.getexif()) == {0x010F: "A maker"}
        assert written.info["exif"].removeprefix(b"Exif\0\0").rstrip(b"\0") == block.rstrip(b"\0")


def test_a_file_without_a_blank_stays_as_it_is(tmp_path):
    Image.fromarray(COLOURS).save(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()

    assert not fill_blank(tmp_path / "a.png", block_of(some_exif()), b"not in it")
    assert (tmp_path / "a.png").read_bytes() == before


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_tags_go_into_a_tiff_and_come_out(tmp_path, byteorder):
    tifffile.imwrite(tmp_path / "a.tif", COLOURS, photometric="rgb", byteorder=byteorder, metadata=None)
    captions = b"\x1c\x02\x78\0\x07Caption"

    into_tiff(tmp_path / "a.tif", block_of(some_exif(1)), captions)

    with (tmp_path / "a.tif").open("rb") as file:
        tiff = read_tiff(file)
    expected = {key: value for key, value in told(some_exif(1)).items() if key[1] not in (282, 283, 296, 274)}
    assert told(parsed(tiff.exif)).items() >= expected.items()
    with Image.open(tmp_path / "a.tif") as written:
        assert np.array_equal(np.asarray(written), COLOURS)
        assert written.tag_v2[33723] == captions
        assert written.getexif().get_ifd(0x8769)[0x927C] == MAKER


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"photometric": "rgb"}, (False, False)),
        ({"photometric": "palette", "colormap": np.zeros((3, 256), np.uint16)}, (False, True)),
        ({"photometric": "rgb", "extrasamples": ["assocalpha"]}, (True, False)),
        ({"photometric": "rgb", "extrasamples": ["unassalpha"]}, (False, False)),
    ],
)
def test_a_tiff_tells_what_its_numbers_are(options, expected):
    array = COLOURS[..., 0] if "colormap" in options else COLOURS
    array = np.dstack([COLOURS, COLOURS[..., :1]]) if "extrasamples" in options else array
    file = io.BytesIO()
    tifffile.imwrite(file, array, metadata=None, software=False, **options)

    tiff = read_tiff(file)

    assert tiff[1:] == (*expected, None)
    assert tiff.exif is None


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("options", [{}, {"rowsperstrip": 2}, {"tile": (16, 16)}, {"compression": "deflate"}])
def test_a_tiff_whose_pixels_lie_beyond_its_end_is_cut_short(byteorder, options):
    file = io.BytesIO()
    tifffile.imwrite(file, COLOURS, photometric="rgb", byteorder=byteorder, **options)
    content = file.getvalue().rstrip(b"\0")

    assert read_tiff(file).refusal is None
    assert read_tiff(io.BytesIO(content[:-1])).refusal == "is cut short"


@pytest.mark.parametrize("content", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"II+\0" + bytes(20), b"Exif"])
def test_what_is_no_tiff_is_none(content):
    assert read_tiff(io.BytesIO(content)) is None


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"Exif\0\0II*\0",
        b"II*\0\xff\0\0\0\1\0",
        b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 9, 274, 3, 1, 6, 0),
        b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 274, 2, 1, 6, 0),
    ],
)
def test_a_damaged_block_is_refused(block):
    with pytest.raises(ValueError, match=r"^(no directory|beyond the end|a tag of another type)"):
        upright(block, 1, 1)


def test_entries_that_lead_nowhere_are_left_out():
    lost = struct.pack("<HHII", 271, 2, 100, 5000) + struct.pack("<HHII", 34665, 4, 1, 8)
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", 3) + lost + struct.pack("<HHIII", 274, 3, 1, 6, 0)

    tiff = read_tiff(io.BytesIO(block))

    assert tiff.exif is not None  # its camera's directory leads to itself: twice, and no further
    assert len(tiff.exif) < 300


def test_tags_that_all_claim_the_same_bytes_do_not_exhaust_memory():
    entries = b"".join(struct.pack("<HHII", 40091, 7, 60000, 8) for _ in range(4000))
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", 4000) + entries + bytes(20000)

    assert len(upright(block, 1, 1)) == len(block)
    tiff = read_tiff(io.BytesIO(block))
    assert tiff.exif is None or len(tiff.exif) < 100_000


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_a_tiffs_place_on_earth_goes_into_another(tmp_path, byteorder):
    scale, point, keys = (
        (0.5, 0.5, 0.0),
        (0.0, 0.0, 0.0, 440720.0, 3751320.0, 0.0),
        (1, 1, 0, 1, 1024, 0, 1, 1),
    )
    extra = [(33550, 12, 3, scale, True), (33922, 12, 6, point, True), (34735, 3, 8, keys, True)]
    tifffile.imwrite(tmp_path / "a.tif", COLOURS, byteorder=byteorder, extratags=extra, metadata=None)
    tifffile.imwrite(tmp_path / "b.tif", COLOURS, byteorder="<", metadata=None)

    with (tmp_path / "a.tif").open("rb") as file:
        into_tiff(tmp_path / "b.tif", read_tiff(file).exif, None)

    with tifffile.TiffFile(tmp_path / "b.tif") as result:
        tags = result.pages[0].tags
        assert [tags[tag].value for tag in (33550, 33922, 34735)] == [scale, point, keys]
        assert np.array_equal(result.asarray(), COLOURS)
