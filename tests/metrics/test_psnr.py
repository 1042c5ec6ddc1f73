import math

import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from dino_ir.errors import ImageError
from dino_ir.metrics.psnr import PSNR


@pytest.mark.parametrize("offset", [0.5, 0.1, 0.01])
def test_a_constant_error_has_a_closed_form(offset):
    clean = torch.full((1, 3, 5, 7), 0.25, dtype=torch.float64)

    score = PSNR()(clean + offset, clean)

    assert score.item() == pytest.approx(-20 * math.log10(offset))


def test_equal_images_score_infinity():
    clean = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(0))

    assert PSNR()(clean, clean).item() == math.inf


def test_same_as_scikit_image():
    rng = torch.Generator().manual_seed(0)
    clean, restored = torch.rand(2, 1, 3, 37, 31, generator=rng, dtype=torch.float64)

    score = PSNR()(restored, clean)

    assert score.item() == pytest.approx(
        peak_signal_noise_ratio(clean.numpy(), restored.numpy(), data_range=1), abs=1e-6
    )


def test_unequal_shapes_are_refused():
    with pytest.raises(ImageError, match="equal shapes"):
        PSNR()(torch.zeros(1, 3, 5, 7), torch.zeros(1, 3, 5, 1))
