import pytest
import torch
import torch.nn.functional as F
from skimage.metrics import structural_similarity

from dino_ir.errors import ImageError
from dino_ir.metrics.ms_ssim import MSSSIM

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang, Simoncelli, Bovik 2003


def noisy_and_clean(height=184, width=177):
    rng = torch.Generator().manual_seed(0)
    clean = torch.rand(3, height, width, generator=rng, dtype=torch.double).cumsum(2) / width
    return clean + 0.05 * torch.randn(clean.shape, generator=rng), clean


def peer(restored, clean, compares_means):
    """scikit-image's SSIM; with a C1 beyond all bounds, means are alike, and c s is what remains."""
    options = {} if compares_means else {"K1": 1e6}
    return structural_similarity(
        clean.numpy(),
        restored.numpy(),
        data_range=1,
        channel_axis=0,
        gaussian_weights=True,
        use_sample_covariance=False,
        **options,
    )


def test_same_as_scikit_image_scale_by_scale():
    restored, clean = noisy_and_clean()

    score = MSSSIM()(restored[None], clean[None])

    expected = 1.0
    for scale, weight in enumerate(WEIGHTS, start=1):
        expected *= peer(restored, clean, compares_means=scale == 5) ** weight
        restored, clean = F.avg_pool2d(restored, 2), F.avg_pool2d(clean, 2)
    assert score.item() == pytest.approx(expected, abs=1e-6)


def test_close_to_torchmetrics_which_counts_mirrored_borders_too():
    image = pytest.importorskip("torchmetrics.functional.image")
    restored, clean = noisy_and_clean()

    score = MSSSIM()(restored[None], clean[None])

    theirs = image.multiscale_structural_similarity_index_measure(restored[None], clean[None], data_range=1.0)
    assert score.item() == pytest.approx(theirs.item(), abs=5e-3)


def test_equal_images_score_one_and_opposite_ones_nothing():
    _, clean = noisy_and_clean()

    assert MSSSIM()(clean[None], clean[None]).item() == pytest.approx(1)
    assert MSSSIM()(1 - clean[None], clean[None]).item() == 0


@pytest.mark.parametrize("shape", [(1, 3, 175, 300), (1, 3, 176, 177)])
def test_what_does_not_fit_is_refused(shape):
    with pytest.raises(ImageError, match=r"at least 176x176|equal shapes"):
        MSSSIM()(torch.zeros(1, 3, 175, 300), torch.zeros(shape))
