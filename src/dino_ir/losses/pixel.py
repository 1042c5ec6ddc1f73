"""Distances between images, pixel by pixel."""

import torch
from torch import Tensor

__all__ = ["l1"]


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
