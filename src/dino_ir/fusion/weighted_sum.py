"""Fuse features by one learned number each: the smallest fusion that works."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dino_ir.contracts import FeatureFusion

__all__ = ["WeightedSum"]


class WeightedSum(FeatureFusion):
    """Add all depths, with softmax weights that are the same for every image.

    Shape:
        L maps [B, C, h, w] -> [B, C, h, w].

    Raises:
        ValueError: the maps differ in channels.
    """

    def __init__(self, prior_channels: Sequence[int]) -> None:
        super().__init__()
        if len(set(prior_channels)) != 1:
            raise ValueError(f"weighted_sum adds maps of equal channels, got {list(prior_channels)}")
        self.channels = prior_channels[0]
        self.weight = nn.Parameter(torch.zeros(len(prior_channels)))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        return torch.einsum("l, l b c h w -> b c h w", self.weight.softmax(0), torch.stack(tuple(features)))
