import pytest
import torch

from dino_ir.contracts import Truth
from dino_ir.degradations.gaussian_blur import GaussianBlur
from dino_ir.degradations.gaussian_noise import GaussianNoise
from dino_ir.denoiser import Denoiser
from dino_ir.metrics.psnr import PSNR
from dino_ir.restorers.bm3d import BM3D
from dino_ir.restorers.nl_means import NLMeans

PHOTO = torch.rand(3, 33, 40, generator=torch.Generator().manual_seed(0))
NOISE = (GaussianNoise(), {"sigma": 25, "seed": 0})
BLUR = (GaussianBlur(), {"sigma": 2})
CLASSICS = [pytest.param(BM3D, "bm3d", 10, id="bm3d"), pytest.param(NLMeans, "skimage", 8, id="nl_means")]


class Fade(Denoiser):
    """Darkens a photo by its sigma, and remembers what it was given."""

    seen = None

    def denoise(self, image, sigma):
        self.seen = (image.shape, 255 * sigma)
        return image - sigma


def test_it_is_told_the_noise_that_came_last():
    told = Fade().told(Truth(PHOTO, [BLUR, (NOISE[0], {"sigma": 5}), NOISE]))

    assert isinstance(told, Fade)
    assert told.sigma == 25
    torch.testing.assert_close(told(PHOTO[None])[0], PHOTO - 25 / 255)


@pytest.mark.parametrize(
    ("options", "damage"), [({}, [BLUR]), ({"sigma": 10}, [NOISE]), ({"told": False}, [NOISE])]
)
def test_without_noise_to_tell_with_a_sigma_of_its_own_or_blind_it_stays_itself(options, damage):
    restorer = Fade(**options)

    assert restorer.told(Truth(PHOTO, damage)) is restorer


def test_what_is_not_told_is_estimated():
    y, x = torch.meshgrid(torch.linspace(0, 1, 200), torch.linspace(0, 1, 200), indexing="ij")
    noise = 25 / 255 * torch.randn(3, 200, 200, generator=torch.Generator().manual_seed(0))
    restorer = Fade()

    restorer((torch.stack([x, y, x * y]) + noise)[None])

    assert restorer.seen[1] == pytest.approx(25, rel=0.05)


def test_without_noise_nothing_changes():
    restorer = Fade(sigma=0)

    assert torch.equal(restorer(PHOTO[None])[0], PHOTO)
    assert restorer.seen is None


@pytest.mark.parametrize("size", [(1, 1), (5, 40)])
def test_small_photos_are_mirrored_and_cut_again(size):
    restorer = Fade(25)

    restored = restorer(PHOTO[None, :, : size[0], : size[1]])

    assert min(restorer.seen[0][1:]) >= 16
    torch.testing.assert_close(restored[0], PHOTO[:, : size[0], : size[1]] - 25 / 255)


def test_a_negative_sigma_is_refused():
    with pytest.raises(ValueError, match="from 0, got -1"):
        Fade(sigma=-1)


@pytest.mark.parametrize(("classic", "package", "gain"), CLASSICS)
def test_classics_take_noise_out_of_a_smooth_photo(classic, package, gain):
    pytest.importorskip(package)
    y, x = torch.meshgrid(torch.linspace(0, 1, 48), torch.linspace(0, 1, 48), indexing="ij")
    clean = torch.stack([0.2 + 0.6 * y, 0.5 + 0.3 * torch.sin(4 * x), 0.8 - 0.5 * x * y])[None]
    noisy = GaussianNoise(25).apply(clean, [{"sigma": 25, "seed": 3}])

    told, blind = classic(25)(noisy), classic()(noisy)

    assert float(PSNR()(told, clean)) > float(PSNR()(noisy, clean)) + gain
    assert float(PSNR()(blind, clean)) > float(PSNR()(noisy, clean)) + gain
