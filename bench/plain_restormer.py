"""Restormer written the usual way, as the peer that `bench/speed.py` measures ours against.

Written from the paper (Zamir et al., "Restormer: Efficient Transformer for High-Resolution Image
Restoration", CVPR 2022, Figure 2, Equations 1 and 2 and section 4): memory in NCHW, float32, one operation
after the other.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["PlainRestormer"]


class _LayerNorm(nn.Module):
    """Layer norm over the channels of [B, C, H, W], on a copy with the channels last."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        mean = tokens.mean(-1, keepdim=True)
        variance = tokens.var(-1, keepdim=True, unbiased=False)
        normed = (tokens - mean) / (variance + 1e-5).sqrt() * self.weight + self.bias
        return normed.transpose(1, 2).unflatten(2, x.shape[2:])


class _Attention(nn.Module):
    """Equation 1: attention across channels, each head on normalised queries and keys."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.qkv_depthwise = nn.Conv2d(
            3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=False
        )
        self.project = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.qkv_depthwise(self.qkv(x)).chunk(3, dim=1)
        query, key, value = (part.unflatten(1, (self.heads, -1)).flatten(3) for part in parts)
        query, key = F.normalize(query, dim=-1), F.normalize(key, dim=-1)
        weights = (query @ key.transpose(-2, -1) * self.temperature).softmax(dim=-1)
        return self.project((weights @ value).flatten(1, 2).unflatten(2, x.shape[2:]))


class _FeedForward(nn.Module):
    """Equation 2: a gated feed-forward with depthwise convolutions."""

    def __init__(self, channels: int, expansion: float) -> None:
        super().__init__()
        hidden = int(channels * expansion)
        self.widen = nn.Conv2d(channels, 2 * hidden, 1, bias=False)
        self.depthwise = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=False)
        self.narrow = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.depthwise(self.widen(x)).chunk(2, dim=1)
        return self.narrow(F.gelu(gate) * value)


class _Block(nn.Module):
    def __init__(self, channels: int, heads: int, expansion: float) -> None:
        super().__init__()
        self.attention = nn.Sequential(_LayerNorm(channels), _Attention(channels, heads))
        self.feed = nn.Sequential(_LayerNorm(channels), _FeedForward(channels, expansion))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(x)
        return x + self.feed(x)


class PlainRestormer(nn.Module):
    """The U-shape of the paper's Figure 2, with refinement at full resolution.

    Args:
        dim: channels at full resolution; they double at each level.
        depths: blocks of each level on the way down, and of the same on the way up; the last is the bottom.
        heads: of each level.
        refine: blocks after the last level.
        expansion: hidden channels of the feed-forward, relative to its input.

    Shape:
        [B, 3, H, W] -> [B, 3, H, W], both sides a multiple of 2 per level.
    """

    def __init__(
        self,
        dim: int = 48,
        depths: Sequence[int] = (4, 6, 6, 8),
        heads: Sequence[int] = (1, 2, 4, 8),
        refine: int = 4,
        expansion: float = 2.66,
    ) -> None:
        super().__init__()

        def stage(channels: int, level: int, depth: int) -> nn.Sequential:
            return nn.Sequential(*(_Block(channels, heads[level], expansion) for _ in range(depth)))

        def convolution(before: int, after: int) -> nn.Conv2d:
            return nn.Conv2d(before, after, 3, padding=1, bias=False)

        widths = [dim * 2**level for level in range(len(depths))]
        upper = range(len(depths) - 2, -1, -1)  # the levels on the way up
        self.embed = convolution(3, dim)
        self.encoder = nn.ModuleList(stage(widths[i], i, depths[i]) for i in range(len(depths)))
        self.down = nn.ModuleList(
            nn.Sequential(convolution(c, c // 2), nn.PixelUnshuffle(2)) for c in widths[:-1]
        )
        self.up = nn.ModuleList(
            nn.Sequential(convolution(widths[i + 1], 2 * widths[i + 1]), nn.PixelShuffle(2)) for i in upper
        )
        self.reduce = nn.ModuleList(
            nn.Conv2d(2 * widths[i], widths[i], 1, bias=False) if i else nn.Identity() for i in upper
        )
        self.decoder = nn.ModuleList(stage(widths[i] if i else 2 * dim, i, depths[i]) for i in upper)
        self.refine = stage(2 * dim, 0, refine)
        self.to_image = convolution(2 * dim, 3)

    def forward(self, degraded: Tensor) -> Tensor:
        x = self.embed(degraded)
        skips: list[Tensor] = []
        for encode, shrink in zip(self.encoder, self.down):
            x = encode(x)
            skips.append(x)
            x = shrink(x)
        x = self.encoder[-1](x)
        for grow, reduce, decode in zip(self.up, self.reduce, self.decoder):
            x = decode(reduce(torch.cat([grow(x), skips.pop()], dim=1)))
        return degraded + self.to_image(self.refine(x))
