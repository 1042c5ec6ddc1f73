"""Blocks one after the other, at one resolution of a network."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

__all__ = ["Stage"]


class Stage(nn.Sequential):
    """Blocks that each take and give [B, C, H, W].

    Args:
        blocks: in order.
        recompute: in training, keep only what enters each block, and compute the rest again on the way
            back: the same gradients in less memory and more time (Chen et al., arXiv 1604.06174).
    """

    def __init__(self, blocks: Iterable[nn.Module], recompute: bool = False) -> None:
        super().__init__(*blocks)
        self.recompute = recompute

    def forward(self, input: Tensor) -> Tensor:
        recompute = self.recompute and self.training and torch.is_grad_enabled()
        x = input
        for block in self:
            x = checkpoint(block, x, use_reentrant=False) if recompute else block(x)
        return x
