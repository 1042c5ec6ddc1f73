"""How alike two images are near each place: the maps that structural similarity averages."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["compare_locally", "gaussian_window", "uniform_window"]

_STEADY_MEANS, _STEADY_VARIANCES = 0.01**2, 0.03**2  # C1 and C2 for a peak of 1


def gaussian_window(side: int = 11, sigma: float = 1.5) -> list[float]:
    """Weights that add up to 1, from one end of a window to the other; sides in pixels."""
    weights = [math.exp(-((place - side // 2) ** 2) / (2 * sigma**2)) for place in range(side)]
    return [weight / sum(weights) for weight in weights]


def uniform_window(side: int = 7) -> list[float]:
    """Equal weights that add up to 1."""
    return [1 / side] * side


def compare_locally(
    first: Tensor, second: Tensor, window: Sequence[float], is_unbiased: bool = False
) -> tuple[Tensor, Tensor]:
    """Compare means, and then contrasts and structure together, under a window at each place it fits whole.

    Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE TIP
    2004, Eq. 6 and the product of Eq. 9 and 10, with C3 = C2 / 2. Their product is SSIM.

    Args:
        first, second: of one shape, in [0, 1].
        window: weights along each side.
        is_unbiased: variances are corrected for the number of pixels under the window.

    Shape:
        [B, C, H, W] twice -> [B, C, h, w] twice, float64.
    """
    x, y = first.double(), second.double()
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = (
        _average(each, window) for each in (x, y, x * x, y * y, x * y)
    )
    pixels = len(window) ** 2
    correction = pixels / (pixels - 1) if is_unbiased else 1.0
    variances = correction * (mean_xx - mean_x**2 + mean_yy - mean_y**2)
    covariance = correction * (mean_xy - mean_x * mean_y)
    means = (2 * mean_x * mean_y + _STEADY_MEANS) / (mean_x**2 + mean_y**2 + _STEADY_MEANS)
    return means, (2 * covariance + _STEADY_VARIANCES) / (variances + _STEADY_VARIANCES)


def _average(image: Tensor, window: Sequence[float]) -> Tensor:
    return _slide(_slide(image, 2, window), 3, window)


def _slide(image: Tensor, dimension: int, weights: Sequence[float]) -> Tensor:
    # In float64, torch's convolution writes every window out first: shifted sums take a tenth of the time.
    length = image.shape[dimension] - len(weights) + 1
    total = torch.zeros_like(image.narrow(dimension, 0, length))
    for place, weight in enumerate(weights):
        total.add_(image.narrow(dimension, place, length), alpha=weight)
    return total
