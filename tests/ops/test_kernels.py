import math

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import torch

from dino_ir.ops.kernels import convolve, convolve_around, gaussian, line


def picture(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("size", "sigma"), [(15, 2.0), (15, 3.1), (1, 1.0), (5, 0.3), (21, 10.0)])
def test_gaussian_equals_scipy(size, sigma):
    impulse = np.zeros(size)
    impulse[size // 2] = 1

    expected = scipy.ndimage.gaussian_filter1d(impulse, sigma, radius=size // 2, mode="constant")

    np.testing.assert_allclose(gaussian(size, sigma), expected, rtol=1e-5, atol=1e-9)
    assert float(gaussian(size, sigma).sum()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("shape", [(3, 5), (1, 7), (7, 1), (1, 1), (5, 5)])
def test_convolve_equals_scipy_up_to_the_border(shape):
    image, kernel = picture(3, 11, 13), picture(*shape)

    ours = convolve(image, kernel)

    expected = [scipy.ndimage.convolve(channel.numpy(), kernel.numpy(), mode="mirror") for channel in image]
    np.testing.assert_allclose(ours, np.stack(expected), rtol=1e-5)


def test_beyond_what_can_be_mirrored_the_edge_goes_on():
    image, kernel = picture(1, 3, 4), picture(9, 7)

    ours = convolve(image, kernel)

    expected = scipy.ndimage.convolve(image[0].numpy(), kernel.numpy(), mode="nearest")
    np.testing.assert_allclose(ours[0], expected, rtol=1e-5)


@pytest.mark.parametrize("size", [(16, 12), (15, 9), (9, 16), (40, 1)])
def test_convolving_around_equals_scipy(size):
    image, kernel = picture(*size), picture(7, 5)

    ours = convolve_around(image, kernel)

    expected = scipy.ndimage.convolve(image.numpy(), kernel.numpy(), mode="wrap")
    np.testing.assert_allclose(ours, expected, rtol=1e-4)


def test_a_kernel_larger_than_the_image_wraps_too():
    image, kernel = picture(5, 7), picture(13, 31)

    ours = convolve_around(image, kernel)

    around = image.tile(5, 7)  # of whole copies, so that the middle one sees only copies
    expected = scipy.signal.convolve2d(around.numpy(), kernel.numpy(), mode="same")[10:15, 21:28]
    np.testing.assert_allclose(ours, expected, rtol=1e-4)


@pytest.mark.parametrize("angle", [-0.6, 0.0, 0.3, math.pi / 4, 1.5])
def test_a_line_lies_at_its_angle(angle):
    weights = line(25, 0.8, angle).double()

    reach = weights.shape[0] // 2
    axis = torch.arange(-reach, reach + 1.0, dtype=torch.float64)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    xx, xy, yy = ((weights * a * b).sum() for a, b in ((x, x), (x, y), (y, y)))
    # Image rows count down, so a line that leans to the right at the top has x and y of unlike signs.
    leans = 0.5 * math.atan2(-2 * xy, yy - xx)
    assert leans == pytest.approx(angle, abs=0.02)


def test_a_line_that_leans_right_has_its_top_on_the_right():
    weights = line(25, 0.8, 0.5)

    top = weights[: weights.shape[0] // 3].sum(dim=0)

    assert top.argmax() > weights.shape[1] // 2


@pytest.mark.parametrize(("length", "width"), [(8, 0.5), (25, 0.8), (60, 1.5)])
def test_a_line_weighs_its_area(length, width):
    weights = line(length, width, 0.3)

    # Across: a Gaussian. Along: full for half of the length, and a ramp over a quarter at each end.
    assert float(weights.sum()) == pytest.approx(width * (2 * math.pi) ** 0.5 * 0.75 * length, rel=0.02)
    assert float(weights[weights.shape[0] // 2, weights.shape[1] // 2]) == 1
    assert weights.min() >= 0
    assert weights.max() <= 1


def test_a_line_is_symmetric_and_inside_its_square():
    weights = line(17, 1.2, 0.4)

    rim = torch.cat([weights[0], weights[-1], weights[:, 0], weights[:, -1]])
    assert weights.shape[0] == weights.shape[1]
    assert weights.shape[0] % 2 == 1
    torch.testing.assert_close(weights, weights.flip(0, 1))
    assert rim.max() < 0.15
