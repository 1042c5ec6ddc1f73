import sys

import pytest
import torch

from dino_ir.contracts import Truth
from dino_ir.degradations.gaussian_blur import GaussianBlur
from dino_ir.degradations.gaussian_noise import GaussianNoise
from dino_ir.errors import DinoIRError
from dino_ir.metrics.psnr import PSNR
from dino_ir.restorers.bm3d import BM3D


def smooth_photo(side=48):
    y, x = torch.meshgrid(torch.linspace(0, 1, side), torch.linspace(0, 1, side), indexing="ij")
    return torch.stack([0.2 + 0.6 * y, 0.5 + 0.3 * torch.sin(4 * x), 0.8 - 0.5 * x * y])


def noisy_photo(sigma, side=48):
    return GaussianNoise(sigma).apply(smooth_photo(side)[None], [{"sigma": sigma, "seed": 3}])


def test_told_the_sigma_it_takes_noise_out_of_a_smooth_photo():
    pytest.importorskip("bm3d")
    clean, noisy = smooth_photo()[None], noisy_photo(25)

    told = BM3D().told(Truth(clean[0], [(GaussianBlur(), {"sigma": 2}), (GaussianNoise(), {"sigma": 25})]))

    assert told.sigma == 25
    assert float(PSNR()(told(noisy), clean)) > float(PSNR()(noisy, clean)) + 10


def test_sigma_is_estimated_where_it_is_not_told():
    pytest.importorskip("bm3d")
    clean, noisy = smooth_photo()[None], noisy_photo(25)
    restorer = BM3D()

    told = restorer.told(Truth(clean[0], [(GaussianBlur(), {"sigma": 2})]))

    assert told is restorer
    assert float(PSNR()(told(noisy), clean)) > float(PSNR()(noisy, clean)) + 10


def test_blind_it_is_not_told_and_estimates():
    blind = BM3D(told=False)

    assert blind.told(Truth(smooth_photo(), [(GaussianNoise(), {"sigma": 25, "seed": 0})])) is blind
    assert blind.sigma is None


def test_a_sigma_that_was_given_is_not_replaced_by_the_truth():
    given = BM3D(sigma=10)

    assert given.told(Truth(smooth_photo(), [(GaussianNoise(), {"sigma": 25, "seed": 0})])) is given


def test_without_noise_nothing_changes():
    pytest.importorskip("bm3d")
    clean = smooth_photo()[None]

    assert torch.equal(BM3D(sigma=0)(clean), clean)


@pytest.mark.parametrize("size", [(1, 1), (5, 40)])
def test_photos_smaller_than_blocks_are_restored_too(size):
    pytest.importorskip("bm3d")
    rng = torch.Generator().manual_seed(0)

    restored = BM3D(25)(torch.rand(1, 3, *size, generator=rng))

    assert restored.shape == (1, 3, *size)
    assert restored.isfinite().all()


def test_grey_photos_stay_grey():
    pytest.importorskip("bm3d")
    grey = noisy_photo(25)[:, :1].expand(-1, 3, -1, -1)

    restored = BM3D(25)(grey)

    assert float(PSNR()(restored, smooth_photo()[None, :1].expand(-1, 3, -1, -1))) > 30
    # Its threads add up in any order.
    torch.testing.assert_close(restored[:, 0], restored[:, 2], rtol=0, atol=1e-5)


def test_a_missing_package_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "bm3d", None)

    with pytest.raises(DinoIRError, match=r"bm3d is not installed: pip install 'dino-ir\[classics\]'"):
        BM3D()(torch.rand(1, 3, 16, 16))


def test_a_negative_sigma_is_refused():
    with pytest.raises(ValueError, match="from 0, got -1"):
        BM3D(sigma=-1)
