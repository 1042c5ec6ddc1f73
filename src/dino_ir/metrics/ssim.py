"""Structural similarity."""

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from dino_ir.errors import ImageError
from dino_ir.ops.similarity import compare_locally, gaussian_window, uniform_window

__all__ = ["SSIM"]

_WINDOWS = {"gaussian": gaussian_window(), "uniform": uniform_window()}
_VIEWED = 256  # pixels of the shorter side that `is_shrunk` comes nearest to


@dataclass(frozen=True)
class SSIM:
    """Mean structural similarity, channels averaged, peak 1: [B, C, H, W] twice -> [B].

    Only places where the whole window fits are counted. By default variances are not corrected for the
    sample size, as in the authors' code. scikit-image gives the same with `use_sample_covariance` set to
    `is_unbiased`, and `gaussian_weights=True` for the default window. Computed in float64.

    Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE TIP
    2004, Eq. 13.

    Attributes:
        window: "gaussian" is the paper's, 11 x 11 with a sigma of 1.5; "uniform" is 7 x 7.
        is_unbiased: variances are corrected for the sample size, as scikit-image does by default.
        is_shrunk: the images are averaged down first, by the whole number that brings the shorter side
            nearest to 256 pixels, as the authors advise for what is looked at from afar.

    Raises:
        ValueError: no such window.
        ImageError: the two batches differ in shape, or are smaller than the window: a smaller window
            would give numbers that compare with no others.

    Example:
        >>> import torch
        >>> SSIM()(torch.full((1, 3, 16, 16), 0.5), torch.full((1, 3, 16, 16), 0.5))
        tensor([1.], dtype=torch.float64)
    """

    window: Literal["gaussian", "uniform"] = "gaussian"
    is_unbiased: bool = False
    is_shrunk: bool = False

    def __post_init__(self) -> None:
        if self.window not in _WINDOWS:
            raise ValueError(f"no window {self.window!r}; there are: {', '.join(_WINDOWS)}")

    @property
    def higher_is_better(self) -> bool:
        return True

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        if restored.shape != clean.shape:
            raise ImageError(f"expected two equal shapes, got {[*restored.shape]} and {[*clean.shape]}")
        if self.is_shrunk:
            restored, clean = _shrink(restored), _shrink(clean)
        side = len(_WINDOWS[self.window])
        if min(clean.shape[2:]) < side:
            raise ImageError(f"expected images of at least {side}x{side} for SSIM, got {[*clean.shape]}")
        means, structures = compare_locally(restored, clean, _WINDOWS[self.window], self.is_unbiased)
        return (means * structures).flatten(1).mean(1)


def _shrink(images: Tensor) -> Tensor:
    height, width = images.shape[2:]
    factor = max(1, round(min(height, width) / _VIEWED))
    return F.adaptive_avg_pool2d(images, (height // factor, width // factor))
