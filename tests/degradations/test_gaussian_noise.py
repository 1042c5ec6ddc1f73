import pytest
import scipy.stats
import torch

from dino_ir.degradations.gaussian_noise import GaussianNoise

COUNT = 3 * 128 * 128


def rng():
    return torch.Generator().manual_seed(0)


def noise_on(value, degradation):
    """The noise on a flat image, on the scale of 0 to 255."""
    image = torch.full((1, 3, 128, 128), value)
    noisy = degradation.apply(image, [degradation.draw(rng())])
    return (noisy.double() - value).flatten() * 255


@pytest.mark.parametrize("sigma", [1, 15, 25, 50])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_unclipped_noise_has_mean_0_and_its_sigma(sigma, value):
    noise = noise_on(value, GaussianNoise(sigma, clipped=False, rounded=False))

    assert abs(noise.mean()) < 5 * sigma / COUNT**0.5
    assert abs(noise.std() / sigma - 1) < 5 / (2 * COUNT) ** 0.5
    assert scipy.stats.kstest(noise.numpy() / sigma, "norm").pvalue > 1e-3


def test_clipping_cuts_at_0_and_1_and_does_nothing_else():
    image = torch.rand(1, 3, 37, 31)
    unclipped = GaussianNoise(50, clipped=False, rounded=False)
    parameters = [unclipped.draw(rng())]

    clipped = GaussianNoise(50, rounded=False).apply(image, parameters)

    assert torch.equal(clipped, unclipped.apply(image, parameters).clamp(0, 1))


def test_rounding_gives_the_nearest_of_256_values():
    image = torch.rand(1, 3, 37, 31)
    parameters = [GaussianNoise(25).draw(rng())]

    rounded = GaussianNoise(25).apply(image, parameters)

    exact = GaussianNoise(25, rounded=False).apply(image, parameters)
    torch.testing.assert_close(rounded * 255, (rounded * 255).round(), atol=1e-4, rtol=0)
    assert (rounded - exact).abs().max() <= 0.5 / 255 + 1e-6


def test_no_noise_leaves_8_bit_images_alone():
    image = torch.randint(0, 256, (1, 3, 37, 31)).float() / 255

    assert torch.equal(GaussianNoise(0).apply(image, [{"sigma": 0, "seed": 1}]), image)


def test_a_range_is_drawn_evenly():
    generator = rng()

    sigmas = torch.tensor([GaussianNoise([10, 50]).draw(generator)["sigma"] for _ in range(1000)])

    assert 10 <= sigmas.min() <= sigmas.max() <= 50
    assert scipy.stats.kstest((sigmas.numpy() - 10) / 40, "uniform").pvalue > 1e-3


def test_levels_are_drawn_alike_and_nothing_between():
    generator = rng()

    sigmas = [GaussianNoise(levels=[15, 25, 50]).draw(generator)["sigma"] for _ in range(900)]

    assert set(sigmas) == {15, 25, 50}
    assert scipy.stats.chisquare([sigmas.count(level) for level in (15, 25, 50)]).pvalue > 1e-3


def test_each_image_of_a_batch_has_noise_of_its_own():
    generator = rng()
    degradation = GaussianNoise(25, clipped=False, rounded=False)

    noisy = degradation.apply(torch.zeros(2, 3, 64, 64), [degradation.draw(generator) for _ in range(2)])

    one, other = noisy.double().flatten(1) * 255 / 25
    assert abs((one * other).mean()) < 5 / one.numel() ** 0.5


@pytest.mark.parametrize("sigma", [-1, [20, 10], [-5, 5], [15, 25, 50], [15], [], float("nan")])
def test_sigmas_that_would_be_misread_are_refused(sigma):
    with pytest.raises(ValueError, match=r"sigma is a number or a pair \[low, high\] from 0"):
        GaussianNoise(sigma)


@pytest.mark.parametrize("levels", [[], [15, -1]])
def test_levels_that_are_none_or_negative_are_refused(levels):
    with pytest.raises(ValueError, match="levels are one or more sigmas from 0"):
        GaussianNoise(levels=levels)
