"""Structural similarity."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from dino_ir.errors import ImageError

__all__ = ["SSIM"]

_WINDOWS = {"gaussian": 11, "uniform": 7}  # pixels on a side
_SIGMA = 1.5
_STEADY_MEANS, _STEADY_VARIANCES = 0.01**2, 0.03**2  # C1 and C2 for a peak of 1


@dataclass(frozen=True)
class SSIM:
    """Mean structural similarity, channels averaged, peak 1: [B, 3, H, W] twice -> [B].

    Only places where the whole window fits are counted, and variances are not corrected for the sample
    size, as in the authors' code. scikit-image gives the same with `use_sample_covariance=False`, and
    `gaussian_weights=True` for the default window. Computed in float64.

    Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE TIP
    2004, Eq. 13.

    Attributes:
        window: "gaussian" is the paper's, 11 x 11 with a sigma of 1.5; "uniform" is 7 x 7.

    Raises:
        ValueError: no such window.
        ImageError: the two batches differ in shape, or are smaller than the window: a smaller window
            would give numbers that compare with no others.

    Example:
        >>> SSIM()(torch.full((1, 3, 16, 16), 0.5), torch.full((1, 3, 16, 16), 0.5))
        tensor([1.], dtype=torch.float64)
    """

    window: Literal["gaussian", "uniform"] = "gaussian"

    def __post_init__(self) -> None:
        if self.window not in _WINDOWS:
            raise ValueError(f"no window {self.window!r}; there are: {', '.join(_WINDOWS)}")

    @property
    def higher_is_better(self) -> bool:
        return True

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        if restored.shape != clean.shape:
            raise ImageError(f"expected two equal shapes, got {[*restored.shape]} and {[*clean.shape]}")
        side = _WINDOWS[self.window]
        if min(clean.shape[2:]) < side:
            raise ImageError(f"expected images of at least {side}x{side} for SSIM, got {[*clean.shape]}")
        x, y = restored.double(), clean.double()
        mean_x, mean_y, mean_xx, mean_yy, mean_xy = map(self._average, (x, y, x * x, y * y, x * y))
        variances = mean_xx - mean_x**2 + mean_yy - mean_y**2
        covariance = mean_xy - mean_x * mean_y
        likeness = (2 * mean_x * mean_y + _STEADY_MEANS) * (2 * covariance + _STEADY_VARIANCES)
        scale = (mean_x**2 + mean_y**2 + _STEADY_MEANS) * (variances + _STEADY_VARIANCES)
        return (likeness / scale).flatten(1).mean(1)

    def _average(self, image: Tensor) -> Tensor:
        """Average [..., H, W] under the window, one side after the other; only whole windows count."""
        return _slide(_slide(image, 2, self._weights()), 3, self._weights())

    def _weights(self) -> list[float]:
        side = _WINDOWS[self.window]
        if self.window == "uniform":
            return [1 / side] * side
        weights = [math.exp(-((place - side // 2) ** 2) / (2 * _SIGMA**2)) for place in range(side)]
        return [weight / sum(weights) for weight in weights]


def _slide(image: Tensor, dimension: int, weights: list[float]) -> Tensor:
    # In float64, torch's convolution writes every window out first: shifted sums take a tenth of the time.
    length = image.shape[dimension] - len(weights) + 1
    total = torch.zeros_like(image.narrow(dimension, 0, length))
    for place, weight in enumerate(weights):
        total.add_(image.narrow(dimension, place, length), alpha=weight)
    return total
