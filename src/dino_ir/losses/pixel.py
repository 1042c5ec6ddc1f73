"""Distances between images, pixel by pixel."""

import torch.nn.functional as F
from torch import Tensor

__all__ = ["l1"]


def l1(restored: Tensor, clean: Tensor) -> Tensor:
    """The mean absolute difference, a scalar."""
    return F.l1_loss(restored.float(), clean)
