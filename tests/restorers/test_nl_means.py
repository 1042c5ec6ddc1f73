import sys

import pytest
import torch

from dino_ir.contracts import Truth
from dino_ir.degradations.gaussian_blur import GaussianBlur
from dino_ir.degradations.gaussian_noise import GaussianNoise
from dino_ir.errors import DinoIRError
from dino_ir.metrics.psnr import PSNR
from dino_ir.restorers.nl_means import NLMeans


def smooth_photo(side=48):
    y, x = torch.meshgrid(torch.linspace(0, 1, side), torch.linspace(0, 1, side), indexing="ij")
    return torch.stack([0.2 + 0.6 * y, 0.5 + 0.3 * torch.sin(4 * x), 0.8 - 0.5 * x * y])


def noisy_photo(sigma, side=48):
    return GaussianNoise(sigma).apply(smooth_photo(side)[None], [{"sigma": sigma, "seed": 3}])


def test_told_the_sigma_it_takes_noise_out_of_a_smooth_photo():
    pytest.importorskip("skimage")
    clean, noisy = smooth_photo()[None], noisy_photo(25)

    told = NLMeans().told(Truth(clean[0], [(GaussianBlur(), {"sigma": 2}), (GaussianNoise(), {"sigma": 25})]))

    assert told.sigma == 25
    assert float(PSNR()(told(noisy), clean)) > float(PSNR()(noisy, clean)) + 8


def test_sigma_is_estimated_where_it_is_not_told():
    pytest.importorskip("skimage")
    clean, noisy = smooth_photo()[None], noisy_photo(25)
    restorer = NLMeans()

    told = restorer.told(Truth(clean[0], [(GaussianBlur(), {"sigma": 2})]))

    assert told is restorer
    assert float(PSNR()(told(noisy), clean)) > float(PSNR()(noisy, clean)) + 8


def test_of_two_flat_halves_each_is_averaged_alone():
    pytest.importorskip("skimage")
    halves = torch.zeros(1, 3, 32, 32)
    halves[..., 16:] = 1

    assert float((NLMeans(25)(halves) - halves).abs().max()) < 1e-3


def test_blind_it_is_not_told_and_estimates():
    blind = NLMeans(told=False)

    assert blind.told(Truth(smooth_photo(), [(GaussianNoise(), {"sigma": 25, "seed": 0})])) is blind
    assert blind.sigma is None


def test_a_sigma_that_was_given_is_not_replaced_by_the_truth():
    given = NLMeans(sigma=10)

    assert given.told(Truth(smooth_photo(), [(GaussianNoise(), {"sigma": 25, "seed": 0})])) is given


def test_without_noise_nothing_changes():
    clean = smooth_photo()[None]

    assert torch.equal(NLMeans(sigma=0)(clean), clean)


@pytest.mark.parametrize("size", [(1, 1), (5, 40)])
def test_photos_smaller_than_patches_are_restored_too(size):
    pytest.importorskip("skimage")

    restored = NLMeans()(torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)))

    assert restored.shape == (1, 3, *size)
    assert restored.isfinite().all()


def test_a_missing_package_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage", None)

    with pytest.raises(DinoIRError, match=r"scikit-image is not installed: pip install 'dino-ir\[demo\]'"):
        NLMeans(25)(torch.rand(1, 3, 16, 16))


def test_a_negative_sigma_is_refused():
    with pytest.raises(ValueError, match="from 0, got -1"):
        NLMeans(sigma=-1)
