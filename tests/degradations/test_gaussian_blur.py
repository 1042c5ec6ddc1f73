import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import torch

from dino_ir.degradations.gaussian_blur import GaussianBlur


@pytest.mark.parametrize("size", [(37, 31), (9, 11), (8, 8)])
@pytest.mark.parametrize("sigma", [0.5, 2.0, 3.1])
def test_blur_equals_scipy_up_to_the_border(sigma, size):
    image = torch.rand(1, 3, *size)

    blurred = GaussianBlur(rounded=False).apply(image, [{"sigma": sigma}])

    expected = scipy.ndimage.gaussian_filter(
        image.double().numpy(), sigma, axes=(2, 3), radius=7, mode="mirror"
    )
    np.testing.assert_allclose(blurred, expected, atol=1e-6)


def test_blur_of_a_small_image_equals_scipy_with_the_edge_going_on():
    image = torch.rand(1, 3, 5, 7)

    blurred = GaussianBlur(rounded=False).apply(image, [{"sigma": 2.5}])

    expected = scipy.ndimage.gaussian_filter(
        image.double().numpy(), 2.5, axes=(2, 3), radius=7, mode="nearest"
    )
    np.testing.assert_allclose(blurred, expected, atol=1e-6)


@pytest.mark.parametrize("value", [0, 1, 77, 254, 255])
def test_a_flat_image_stays_flat(value):
    image = torch.full((1, 3, 37, 31), value / 255)

    assert torch.equal(GaussianBlur().apply(image, [{"sigma": 2.5}]), image)


def test_each_image_has_its_own_sigma():
    image = torch.rand(1, 3, 37, 31)

    little, much = GaussianBlur().apply(image.expand(2, 3, 37, 31), [{"sigma": 0.7}, {"sigma": 3.0}])

    assert (image - little).square().mean() < (image - much).square().mean()


def test_the_result_is_rounded_to_8_bits():
    image = torch.rand(1, 3, 37, 31)

    steps = GaussianBlur().apply(image, [{"sigma": 2.0}]) * 255

    torch.testing.assert_close(steps, steps.round(), atol=1e-4, rtol=0)


def test_the_papers_range_is_drawn_evenly():
    rng = torch.Generator().manual_seed(0)

    sigmas = np.array([GaussianBlur().draw(rng)["sigma"] for _ in range(1000)])

    assert 2.0 <= sigmas.min() <= sigmas.max() <= 3.1
    assert scipy.stats.kstest((sigmas - 2.0) / 1.1, "uniform").pvalue > 1e-3


def test_one_sigma_is_taken_as_it_is():
    assert GaussianBlur(1.5).draw(torch.Generator()) == {"sigma": 1.5}


@pytest.mark.parametrize("sigma", [0, -1, [0, 2], [3, 2], [1, 2, 3], [1], [], float("nan")])
def test_sigmas_that_do_not_blur_or_would_be_misread_are_refused(sigma):
    with pytest.raises(ValueError, match=r"sigma is a number above 0 or a pair \[low, high\], got"):
        GaussianBlur(sigma)


@pytest.mark.parametrize("size", [0, -3, 14])
def test_kernels_without_a_middle_are_refused(size):
    with pytest.raises(ValueError, match="size is an odd number of pixels, got"):
        GaussianBlur(size=size)
