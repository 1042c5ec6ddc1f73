import pytest
import torch
from skimage.metrics import structural_similarity

from dino_ir.errors import ImageError
from dino_ir.metrics.ssim import SSIM


def noisy_and_clean():
    rng = torch.Generator().manual_seed(0)
    clean = torch.rand(3, 37, 31, generator=rng).cumsum(2) / 31
    return clean + 0.05 * torch.randn(clean.shape, generator=rng), clean


@pytest.mark.parametrize("is_unbiased", [False, True])
@pytest.mark.parametrize("window", ["gaussian", "uniform"])
def test_same_as_scikit_image(window, is_unbiased):
    restored, clean = noisy_and_clean()

    score = SSIM(window, is_unbiased)(restored[None], clean[None])

    peer = structural_similarity(
        clean.double().numpy(),
        restored.double().numpy(),
        data_range=1,
        channel_axis=0,
        gaussian_weights=window == "gaussian",
        **({"win_size": 11} if window == "gaussian" else {}),
        use_sample_covariance=is_unbiased,
    )
    assert score.item() == pytest.approx(peer, abs=1e-6)


@pytest.mark.parametrize(("side", "factor"), [(383, 1), (384, 2), (700, 3)])
def test_shrunk_images_come_near_to_256_pixels(side, factor):
    rng = torch.Generator().manual_seed(0)
    clean = torch.rand(1, 1, side, side + 20, generator=rng)
    restored = (clean + 0.1 * torch.randn(clean.shape, generator=rng)).clamp(0, 1)
    whole = (..., slice(side // factor * factor), slice((side + 20) // factor * factor))
    smaller = [torch.nn.functional.avg_pool2d(image[whole], factor) for image in (restored, clean)]

    score = SSIM(is_shrunk=True)(restored, clean)

    # Where the sides divide, averages over parts are those over squares; else they overlap a little.
    assert score.item() == pytest.approx(SSIM()(*smaller).item(), abs=1e-6 if factor == 1 else 0.02)


def test_two_flat_images_have_a_closed_form():
    dark, bright = torch.full((1, 3, 16, 16), 0.2), torch.full((1, 3, 16, 16), 0.6)

    score = SSIM()(dark, bright)

    assert score.item() == pytest.approx((2 * 0.2 * 0.6 + 0.0001) / (0.04 + 0.36 + 0.0001), abs=1e-6)


def test_equal_images_score_one():
    _, clean = noisy_and_clean()

    assert SSIM()(clean[None], clean[None]).item() == pytest.approx(1)


def test_images_smaller_than_the_window_are_refused():
    with pytest.raises(ImageError, match="at least 11x11"):
        SSIM()(torch.zeros(1, 3, 10, 40), torch.zeros(1, 3, 10, 40))


def test_unequal_shapes_are_refused():
    with pytest.raises(ImageError, match="equal shapes"):
        SSIM()(torch.zeros(1, 3, 16, 16), torch.zeros(1, 1, 16, 16))


def test_an_unknown_window_is_refused():
    with pytest.raises(ValueError, match="gaussian, uniform"):
        SSIM("round")
