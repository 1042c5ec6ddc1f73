import pytest
import pyvips

from dino_ir.formats.coding import kind_of, most_bits, saving
from dino_ir.formats.headers import IMAGE_SUFFIXES


def test_every_suffix_that_is_written_has_a_kind():
    assert {kind_of(suffix.upper()) for suffix in IMAGE_SUFFIXES} == {"AVIF", "JPEG", "PNG", "TIFF", "WebP"}


@pytest.mark.parametrize(
    ("kind", "held"),
    [
        ("AVIF", {8: 8, 10: 10, 12: 12, 16: 12, 32: 12}),
        ("JPEG", {8: 8, 10: 8, 16: 8, 32: 8}),
        ("PNG", {8: 8, 10: 16, 12: 16, 16: 16, 32: 16}),
        ("TIFF", {8: 8, 10: 16, 16: 16, 32: 32}),
        ("WebP", {8: 8, 12: 8, 32: 8}),
    ],
)
def test_no_bit_is_lost_that_can_be_held_and_none_is_added_in_vain(kind, held):
    assert {wanted: most_bits(kind, wanted) for wanted in held} == held


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
@pytest.mark.parametrize("quality", [None, 1, 100])
def test_libvips_takes_the_options(suffix, quality):
    options = saving(kind_of(suffix), 8, quality, is_subsampled=True)

    assert pyvips.Image.black(8, 8, bands=3).copy(interpretation="srgb").write_to_buffer(suffix, **options)


def test_a_large_jpeg_is_not_held_for_its_code():
    sizes = (4_000_000, 4_000_001)

    assert [saving("JPEG", 8, 90, False, size)["optimize_coding"] for size in sizes] == [True, False]
