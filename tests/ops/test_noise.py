import pytest
import torch

from dino_ir.ops.noise import estimate_sigma


@pytest.mark.parametrize("sigma", [5, 25])
def test_the_estimate_is_that_of_scikit_image_and_near_the_truth(sigma):
    restoration = pytest.importorskip("skimage.restoration")
    y, x = torch.meshgrid(torch.linspace(0, 1, 200), torch.linspace(0, 1, 200), indexing="ij")
    photo = torch.stack([0.2 + 0.6 * y, 0.5 + 0.3 * torch.sin(4 * x), 0.8 - 0.5 * x * y])
    noisy = photo + sigma / 255 * torch.randn(photo.shape, generator=torch.Generator().manual_seed(3))

    theirs = restoration.estimate_sigma(noisy.double().numpy(), channel_axis=0)

    assert 255 * estimate_sigma(noisy) == pytest.approx(255 * sum(theirs) / 3, rel=0.01)
    assert 255 * estimate_sigma(noisy) == pytest.approx(sigma, rel=0.05)


def test_a_smooth_photo_has_next_to_none():
    ramp = torch.linspace(0, 1, 64).expand(3, 64, 64)

    assert estimate_sigma(ramp) < 1e-6
