import io
import logging

import numpy as np
import pytest
import pyvips
import torch
from PIL import Image, ImageCms

from dino_ir.errors import ImageError
from dino_ir.formats import vips
from dino_ir.formats.decoding import decode


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 16, 32])
def test_planes_become_an_image_and_planes_again(bits, channels):
    top = 2**bits - 1 if bits < 32 else 1000
    values = torch.randint(0, top + 1, (channels, 5, 7)).float() / top

    image = vips.from_planes(values, bits, {})

    assert (image.width, image.height, image.bands) == (7, 5, channels)
    assert torch.equal(vips.to_planes(image) / (2**bits - 1 if bits < 32 else 1), values)


@pytest.mark.parametrize("bits", [10, 12])
def test_10_and_12_bits_fill_the_upper_ones_of_16(bits):
    values = torch.tensor([0, 1, 2**bits - 1]).view(1, 1, 3) / (2**bits - 1)

    planes = vips.to_planes(vips.from_planes(values, bits, {}))

    assert planes.flatten().tolist() == [0, 2 ** (16 - bits), 2**16 - 2 ** (16 - bits)]


def test_what_lies_outside_the_range_is_clipped():
    planes = vips.to_planes(vips.from_planes(torch.tensor([[[-0.1, 1.1]]]), 8, {}))

    assert planes.flatten().tolist() == [0, 255]


def test_fields_of_every_type_are_carried():
    fields = {"xmp-data": b"<x/>", "resolution-unit": "cm", "orientation": 1, "a": 0.5, "b": [1.0, 2.0]}

    image = vips.from_planes(torch.zeros(3, 2, 2), 8, fields)

    assert {name: image.get(name) for name in fields} == fields


def test_files_of_too_many_pixels_are_not_decoded(tmp_path):
    Image.new("L", (40, 30)).save(tmp_path / "a.png")
    head = (tmp_path / "a.png").read_bytes()[:60]  # no pixels
    (tmp_path / "a.png").write_bytes(head)

    with (tmp_path / "a.png").open("rb") as file, pytest.raises(ImageError, match="has 40 x 30 pixels, more"):
        decode(tmp_path / "a.png", file, max_pixels=1199)


def test_what_is_no_photo_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>")

    with (tmp_path / "a.png").open("rb") as file, pytest.raises(ImageError, match="is not a photo"):
        decode(tmp_path / "a.png", file, max_pixels=1e6)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("unable to load\n  png: a chunk is short\n\n", "png: a chunk is short"),
        ("heif: the end\n (2.100)\n", "heif: the end"),
        ("bell \x07 and \x1b[31m", "bell  and [31m"),
        ("x" * 999, "x" * 200),
        ("", "ValueError"),
    ],
)
def test_a_reason_is_one_short_line(said, expected):
    assert vips.reason(ValueError(said)) == expected


def test_glib_does_not_complain_on_the_terminal(capfd, caplog):
    caplog.set_level(logging.DEBUG)

    pyvips.Image.black(2, 2).copy(xres=-5.0)

    assert capfd.readouterr() == ("", "")
    assert "out of range" in caplog.text


def test_the_profile_of_display_p3_is_one():
    profile = ImageCms.ImageCmsProfile(io.BytesIO(vips.profile_of_display_p3()))
    to_srgb = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), "RGB", "RGB")

    shown = np.asarray(ImageCms.applyTransform(Image.new("RGB", (1, 1), (234, 51, 35)), to_srgb))

    assert np.abs(shown[0, 0].astype(int) - [255, 0, 0]).max() <= 4  # sRGB's red in Display P3


def test_a_small_jpeg_is_turned():
    wide = pyvips.Image.black(16, 8).write_to_buffer(".jpg")

    turned = pyvips.Image.new_from_buffer(vips.turn(wide, 6), "")

    assert (turned.width, turned.height) == (8, 16)
