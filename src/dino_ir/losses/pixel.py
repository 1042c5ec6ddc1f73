"""Distances between images, pixel by pixel."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

__all__ = ["PixelLoss", "l1", "negative_psnr", "pixel_loss"]

PixelLoss = Callable[[Tensor, Tensor], Tensor]
"""Restored and clean, [B, 3, H, W] in [0, 1], to a scalar."""

FLOOR = 3e-5
"""Added to each image's mean square error: beyond 45 dB, better is hardly worth more."""


def pixel_loss(name: str, knee: float | None = None) -> PixelLoss:
    """The loss a recipe names: "l1", with or without a knee, or "psnr".

    Raises:
        ValueError: another name, or a knee where nothing bends.
    """
    if name == "l1":
        return partial(l1, knee=knee)
    if name != "psnr":
        raise ValueError(f'pixel must be "l1" or "psnr", got {name!r}')
    if knee is not None:
        raise ValueError(f'pixel = "psnr" takes no knee, got {knee}')
    return negative_psnr


def l1(restored: Tensor, clean: Tensor, knee: float | None = None) -> Tensor:
    r"""The mean absolute difference of a batch, a scalar.

    With a knee k, an image's difference d counts as :math:`k \log(1 + d / k)`: as itself while it is
    small, as its logarithm beyond. A batch of several tasks needs that: the error of a hazy image is
    large and has one sign everywhere, so its gradient drowns that of a noisy one.

    Args:
        restored, clean: [B, 3, H, W].
        knee: in units of the images' range of 1; None is the plain difference.
    """
    differences = (restored.float() - clean).abs().mean(dim=(1, 2, 3))
    if knee is not None:
        differences = knee * torch.log1p(differences / knee)
    return differences.mean()


def negative_psnr(restored: Tensor, clean: Tensor) -> Tensor:
    r"""Minus the mean PSNR of a batch's images in dB; a scalar.

    :math:`10 \log_{10}(\mathrm{mse} + 3 \cdot 10^{-5})` of each image. A decibel counts the same in every
    task, whatever is left of its errors.

    Args:
        restored, clean: [B, 3, H, W], of range 1.

    Source: Chen et al., "HINet", CVPR Workshops 2021, equation 2; the floor is ours.
    """
    errors = (restored.float() - clean).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(errors + FLOOR).mean()
