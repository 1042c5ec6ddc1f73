import numpy as np
import pytest
import pyvips

from dino_ir.files import scratch
from dino_ir.files.scratch import Scratch

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
FORMS = {"uchar": np.uint8, "ushort": np.uint16, "float": np.float32}


def numbers(height, width, bands, form="uchar"):
    return np.random.default_rng(bands).integers(0, 256, (height, width, bands)).astype(FORMS[form])


def image_of(array):
    height, width, bands = array.shape
    return pyvips.Image.new_from_memory(np.ascontiguousarray(array), width, height, bands, form_of(array))


def form_of(array):
    return next(form for form, number in FORMS.items() if array.dtype == number)


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
@pytest.mark.parametrize("form", FORMS)
def test_pieces_that_are_put_in_any_order_come_back_and_are_an_image(tmp_path, form, bands):
    array = numbers(23, 17, bands, form)

    with Scratch(tmp_path) as held:
        for top, left, bottom, right in [(10, 5, 23, 17), (0, 0, 10, 17), (10, 0, 23, 5)]:
            held.put(image_of(array[top:bottom, left:right]), top, left, (23, 17))
        piece, image = held.get(3, 2, 20, 9), held.image()
        content = image.write_to_memory()

    assert held.size == (23, 17)
    assert np.array_equal(piece, array[3:20, 2:9])
    assert (image.height, image.width, image.bands, image.format) == (23, 17, bands, form)
    assert content == array.tobytes()


@pytest.mark.parametrize("rows", [1, 4, 256])
@pytest.mark.parametrize("orientation", TURNED)
def test_what_can_only_be_read_from_the_top_is_kept_upright(tmp_path, monkeypatch, orientation, rows):
    monkeypatch.setattr(scratch, "_ROWS", rows)
    array = numbers(13, 9, 3)
    image = image_of(array).copy(interpretation="srgb")
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    image.write_to_file(tmp_path / "a.tif")

    with Scratch(tmp_path) as held:
        held.keep(pyvips.Image.new_from_file(tmp_path / "a.tif", access="sequential"))
        kept = held.get(0, 0, *held.size)

    assert np.array_equal(kept, TURNED[orientation](array))


def test_what_is_kept_takes_the_place_of_what_was(tmp_path):
    with Scratch(tmp_path) as held:
        held.put(image_of(numbers(4, 4, 3)), 0, 0, (4, 4))
        held.put(image_of(numbers(7, 5, 1, "ushort")), 0, 0, (7, 5))

        assert np.array_equal(held.get(0, 0, 7, 5), numbers(7, 5, 1, "ushort"))
        assert held.image().write_to_memory() == numbers(7, 5, 1, "ushort").tobytes()


def test_the_image_says_nothing_of_the_file_it_lay_in(tmp_path):
    with Scratch(tmp_path) as held:
        held.put(image_of(numbers(4, 4, 3)), 0, 0, (4, 4))

        plain = set(pyvips.Image.black(1, 1).get_fields())
        assert set(held.image().get_fields()) == plain


def test_a_file_of_more_than_4_gigabytes_is_read_to_its_end(tmp_path):
    size = (1 << 17, 1 << 13)  # in which but one row is written
    last = numbers(1, size[1], 4)

    with Scratch(tmp_path) as held:
        held.put(image_of(last), size[0] - 1, 0, size)

        assert np.array_equal(held.get(size[0] - 1, 0, *size), last)
        assert held.image().height == size[0]


def test_nothing_is_ever_seen_in_the_folder(tmp_path):
    with Scratch(tmp_path) as held:
        held.put(image_of(numbers(4, 4, 3)), 0, 0, (4, 4))

        assert list(tmp_path.iterdir()) == []
