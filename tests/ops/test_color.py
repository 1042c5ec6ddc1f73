import numpy as np
import pytest
import torch
from skimage.color import rgb2ycbcr

from dino_ir.ops.color import luma, matlab_luma, round_to_8_bits, to_float, to_linear, to_srgb


def test_matlab_luma_is_that_of_scikit_image():
    image = torch.rand(2, 3, 5, 7, dtype=torch.float64)

    y = matlab_luma(image)

    expected = rgb2ycbcr(image.movedim(1, -1).numpy())[..., 0] / 255
    np.testing.assert_allclose(y[:, 0].numpy(), expected, atol=1e-12)


def test_luma_of_grey_is_grey():
    grey = torch.rand(1, 5, 7, dtype=torch.float64)

    torch.testing.assert_close(luma(grey.expand(3, -1, -1)), grey)


def test_matlab_luma_is_luma_at_studio_range():
    image = torch.rand(3, 5, 7, dtype=torch.float64)

    torch.testing.assert_close(matlab_luma(image), luma(image) * 219 / 255 + 16 / 255, atol=1e-5, rtol=0)


def test_to_float_undoes_8_bits():
    values = torch.arange(256, dtype=torch.uint8)

    image = to_float(values)

    assert torch.equal(image * 255, values.float())
    assert to_float(image) is image


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_gives_what_a_file_gives(dtype):
    image = torch.linspace(-0.5, 1.5, 999, dtype=dtype)

    rounded = round_to_8_bits(image)

    assert rounded.dtype == dtype
    assert torch.equal(rounded, (image.clamp(0, 1) * 255).round().to(torch.uint8).to(dtype) / 255)
    assert torch.equal(round_to_8_bits(rounded), rounded)


def test_linear_light_matches_the_standard():
    values = torch.tensor([0.0, 0.04045, 0.5, 1.0], dtype=torch.float64)

    light = to_linear(values)

    # IEC 61966-2-1: the ends are fixed, 0.04045 is where the line meets the curve, and a middle grey
    # of 0.5 is ((0.5 + 0.055) / 1.055)^2.4.
    expected = torch.tensor([0, 0.0031308, 0.2140411, 1], dtype=torch.float64)
    torch.testing.assert_close(light, expected, atol=1e-7, rtol=0)


def test_srgb_undoes_linear():
    image = torch.rand(3, 9, 9, dtype=torch.float64)

    torch.testing.assert_close(to_srgb(to_linear(image)), image, atol=1e-7, rtol=0)


def test_dark_values_have_gradients():
    image = torch.zeros(3, requires_grad=True)

    to_srgb(to_linear(image)).sum().backward()

    assert torch.allclose(image.grad, torch.ones(3))
