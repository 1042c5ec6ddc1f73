"""NAFNet written the usual way, as the peer that `bench/speed.py` measures ours against.

Written from the paper (Chen et al., "Simple Baselines for Image Restoration", ECCV 2022, Figures 2 to 4):
memory in NCHW, float32, one operation after the other.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["PlainNAFNet"]


class _LayerNorm(nn.Module):
    """Layer norm over the channels of [B, C, H, W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).pow(2).mean(1, keepdim=True)
        return (x - mean) / (variance + 1e-6).sqrt() * self.weight + self.bias


class _SimpleGate(nn.Module):
    """One half of the channels times the other: [B, 2C, H, W] -> [B, C, H, W]."""

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, dim=1)
        return left * right


class _Block(nn.Module):
    """The paper's Figure 3c: a gated convolution with channel attention, then a gated feed-forward."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Sequential(
            _LayerNorm(channels),
            nn.Conv2d(channels, 2 * channels, 1),
            nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels),
            _SimpleGate(),
        )
        self.attend = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, channels, 1))
        self.project = nn.Conv2d(channels, channels, 1)
        self.feed = nn.Sequential(
            _LayerNorm(channels),
            nn.Conv2d(channels, 2 * channels, 1),
            _SimpleGate(),
            nn.Conv2d(channels, channels, 1),
        )
        self.mix_scale = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.feed_scale = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.mix(x)
        x = x + self.project(mixed * self.attend(mixed)) * self.mix_scale
        return x + self.feed(x) * self.feed_scale


def _stage(channels: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*(_Block(channels) for _ in range(depth)))


class PlainNAFNet(nn.Module):
    """A U-shape of NAF blocks that adds what it finds to its input.

    Args:
        width: channels at full resolution; they double at each level.
        encoder: blocks of each level on the way down, fine to coarse.
        middle: blocks at the bottom.
        decoder: blocks of each level on the way up, coarse to fine.

    Shape:
        [B, 3, H, W] -> [B, 3, H, W], both sides a multiple of 2 per level.
    """

    def __init__(self, width: int, encoder: Sequence[int], middle: int, decoder: Sequence[int]) -> None:
        super().__init__()
        channels = [width * 2**level for level in range(len(encoder) + 1)]
        self.embed = nn.Conv2d(3, width, 3, padding=1)
        self.encoder = nn.ModuleList(_stage(c, depth) for c, depth in zip(channels, encoder))
        self.down = nn.ModuleList(nn.Conv2d(c, 2 * c, 2, stride=2) for c in channels[:-1])
        self.middle = _stage(channels[-1], middle)
        self.up = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, 2 * c, 1, bias=False), nn.PixelShuffle(2)) for c in channels[:0:-1]
        )
        self.decoder = nn.ModuleList(_stage(c, depth) for c, depth in zip(channels[-2::-1], decoder))
        self.to_image = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, degraded: Tensor) -> Tensor:
        x = self.embed(degraded)
        skips: list[Tensor] = []
        for encode, shrink in zip(self.encoder, self.down):
            x = encode(x)
            skips.append(x)
            x = shrink(x)
        x = self.middle(x)
        for grow, decode in zip(self.up, self.decoder):
            x = decode(grow(x) + skips.pop())
        return degraded + self.to_image(x)
