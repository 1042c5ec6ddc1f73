"""Fuse features without weighing them: the plain alternative to pixel-semantic fusion."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dino_ir.contracts import FeatureFusion

__all__ = ["Concat"]


class Concat(FeatureFusion):
    """Stack all depths and mix them by one 1x1 convolution (the first versions' ablation of DINO-IR).

    Shape:
        L maps [B, C_l, h, w] -> [B, channels, h, w].
    """

    def __init__(self, prior_channels: Sequence[int], channels: int = 256) -> None:
        super().__init__()
        self.channels = channels
        self.mix = nn.Conv2d(sum(prior_channels), channels, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return self.mix(torch.cat(tuple(features), dim=1))
