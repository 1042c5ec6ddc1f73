import pytest
import torch

from dino_ir.contracts import Truth
from dino_ir.degradations.gaussian_blur import GaussianBlur
from dino_ir.degradations.gaussian_noise import GaussianNoise
from dino_ir.degradations.haze import Haze
from dino_ir.errors import RecipeError
from dino_ir.metrics.psnr import PSNR
from dino_ir.restorers.wiener import Wiener

CLEAN = torch.rand(1, 3, 9, 12, generator=torch.Generator().manual_seed(0))


def smooth_photo(height=41, width=36):
    """Waves that do not end at the borders, nor are even there."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    waves = [torch.sin(0.21 * y + 0.13 * x + phase) * torch.cos(0.17 * x) for phase in (0.0, 1.0, 2.0)]
    return 0.5 + 0.4 * torch.stack(waves)[None]


def blur(images, sigma, rounded=False):
    return GaussianBlur(sigma, rounded=rounded).apply(images, [{"sigma": sigma}] * len(images))


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.1])
def test_a_known_blur_of_a_smooth_photo_is_undone_up_to_its_borders(sigma):
    clean = smooth_photo().double()
    blurred = blur(clean, sigma)

    restored = Wiener(sigma, signal=1e6)(blurred)

    assert (blurred - clean).abs().max() > 0.04
    torch.testing.assert_close(restored, clean, rtol=0, atol=2e-3)


def test_without_blur_and_with_much_signal_nothing_changes():
    restored = Wiener(sigma=0.01, signal=1e9)(CLEAN)

    torch.testing.assert_close(restored, CLEAN, rtol=0, atol=1e-6)


def test_a_constant_photo_stays():
    grey = torch.full((2, 3, 20, 30), 0.3)

    torch.testing.assert_close(Wiener(sigma=2.5, noise=50)(grey), grey, rtol=0, atol=1e-6)


def test_two_waves_are_weighted_by_the_formula():
    """Of waves that the mirrored photo holds in whole periods, each is multiplied by one number."""
    height = 33
    turns = torch.arange(height) / (2 * (height - 1))
    slow, fast = (torch.cos(2 * torch.pi * k * turns)[:, None].expand(-1, 20) for k in (4, 9))
    wiener = Wiener(sigma=1.5, size=3, noise=10, signal=1e-3)

    restored = wiener((0.5 + 0.2 * slow + 0.1 * fast).expand(1, 3, -1, -1))

    def weight(k):
        side = torch.exp(torch.tensor(-0.5 / 1.5**2))
        frequency = k / (2 * (height - 1))
        response = (1 + 2 * side * torch.cos(torch.tensor(2 * torch.pi * frequency))) / (1 + 2 * side)
        noise = (10**2 + 1 / 12) / 255**2
        return response / (response**2 + noise * frequency**2 / 1e-3)

    expected = 0.5 + 0.2 * weight(4) * slow + 0.1 * weight(9) * fast
    torch.testing.assert_close(restored[0, 0], expected, rtol=0, atol=1e-5)


def test_told_the_noise_it_restores_a_noisy_blur_better():
    clean = smooth_photo()
    noisy = GaussianNoise(5).apply(blur(clean, 2.0), [{"sigma": 5, "seed": 1}])
    blurs, noise = (GaussianBlur(2.0), {"sigma": 2.0}), (GaussianNoise(5), {"sigma": 5, "seed": 1})

    scores = [
        float(PSNR()(Wiener().told(Truth(clean[0], damage))(noisy).clamp(0, 1), clean))
        for damage in ([blurs], [blurs, noise])
    ]

    assert scores[1] > scores[0] + 3
    assert scores[1] > float(PSNR()(noisy, clean))


def test_what_it_is_told_is_the_blur_that_was_drawn():
    clean = smooth_photo()
    truth = Truth(clean[0], [(GaussianBlur(size=9), {"sigma": 2.2}), (Haze(), {"beta": 1})])

    told = Wiener().told(truth)

    assert torch.equal(told(clean), Wiener(sigma=2.2, size=9)(clean))


def test_a_sigma_that_was_given_is_not_replaced_by_the_truth():
    given = Wiener(sigma=1.0)

    assert given.told(Truth(CLEAN[0], [(GaussianBlur(), {"sigma": 2.5})])) is given


def test_without_a_blur_it_says_what_it_needs():
    restorer = Wiener().told(Truth(CLEAN[0], [(GaussianNoise(), {"sigma": 25, "seed": 0})]))

    with pytest.raises(RecipeError, match=r'wiener must know the blur.*name="wiener", sigma=2.5'):
        restorer(CLEAN)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 3), (9, 12)])
def test_any_size_is_restored(size):
    restored = Wiener(sigma=2.0)(CLEAN[..., : size[0], : size[1]])

    assert restored.shape == (1, 3, *size)
    assert restored.isfinite().all()


@pytest.mark.parametrize("options", [{"sigma": 0}, {"size": 4}, {"noise": -1}, {"signal": 0}])
def test_options_beyond_their_range_are_refused(options):
    with pytest.raises(ValueError, match="got"):
        Wiener(**options)
