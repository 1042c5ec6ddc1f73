"""NAFNet (Chen et al., ECCV 2022, https://arxiv.org/abs/2204.04676), written from the paper.

degraded ─ from_image ─ E0 ────────── skip ────────── D0 ─ to_image ─ + degraded
                         └ E1 ─────── skip ─────── D1 ┘
                            └ ...                ... ┘
                                └──── middle ────┘
"""

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dino_ir.contracts import Guide, Network, Place, no_guide
from dino_ir.layers.norm import ChannelNorm
from dino_ir.layers.precision import exactly
from dino_ir.layers.stage import Stage
from dino_ir.pools import Pooled

__all__ = ["NAFNet"]


class NAFNet(Network):
    """A U-shaped network of convolutions and products; each level halves the image, doubles the width.

    The defaults are the published model for GoPro at width 32.

    Args:
        width: channels at full resolution.
        encoder: blocks at each encoder level, fine to coarse.
        middle: blocks at the latent.
        decoder: blocks at each decoder level, coarse to fine, as many levels as `encoder`.
        recompute: as in `layers.stage.Stage`; changes nothing but what training takes.

    Shape:
        [B, 3, H, W] -> [B, 3, H, W]; H and W divide by `multiple_of`.

    Raises:
        ValueError: `encoder` and `decoder` differ in length.
    """

    tiny = MappingProxyType({"width": 8, "encoder": (1, 1), "middle": 1, "decoder": (1, 1)})

    def __init__(
        self,
        width: int = 32,
        encoder: Sequence[int] = (1, 1, 1, 28),
        middle: int = 1,
        decoder: Sequence[int] = (1, 1, 1, 1),
        recompute: bool = False,
    ) -> None:
        super().__init__()
        levels = len(encoder)
        if len(decoder) != levels:
            raise ValueError(f"{levels} encoder levels need as many decoder levels, got {len(decoder)}")
        widths = [width * 2**level for level in range(levels + 1)]
        self.multiple_of = 2**levels
        self.places = tuple(
            Place(widths[level], 2**level, _heads(widths[level])) for level in range(levels, -1, -1)
        )

        stage = partial(_stage, recompute=recompute)
        self.from_image = nn.Conv2d(3, width, 3, padding=1)
        self.encoder = nn.ModuleList(map(stage, widths, encoder))
        self.down = nn.ModuleList(nn.Conv2d(channels, 2 * channels, 2, stride=2) for channels in widths[:-1])
        self.middle = stage(widths[-1], middle)
        self.up = nn.ModuleList(map(_Upsample, widths[1:]))
        self.decoder = nn.ModuleList(map(stage, widths, reversed(decoder)))  # index 0 is the finest here too
        self.to_image = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, degraded: Tensor, guide: Guide = no_guide) -> Tensor:
        *skips, x = self.begin(degraded, len(self.encoder))
        x = guide(0, self.middle(x))
        for place, level in enumerate(reversed(range(len(skips))), start=1):
            x = skips[level] + self.up[level](x)
            x = guide(place, self.decoder[level](x))
        with exactly(degraded.device):
            return degraded + self.to_image(x.to(degraded.dtype))

    def begin(self, degraded: Tensor, levels: int) -> tuple[Tensor, ...]:
        with exactly(degraded.device):
            x = self.from_image(degraded.to(memory_format=torch.channels_last))
        skips: list[Tensor] = []
        for stage, down in zip(self.encoder[:levels], self.down):
            skips.append(stage(x))
            x = down(skips[-1])
        return (*skips, x)

    def beginnings(self, levels: int) -> tuple[str, ...]:
        return ("from_image.", *(f"{part}.{n}." for part in ("encoder", "down") for n in range(levels)))

    def blocks(self) -> list[nn.Module]:
        return [module for module in self.modules() if isinstance(module, _Block)]

    @staticmethod
    def options_of_official(weights: Mapping[str, Tensor]) -> dict[str, Any] | None:
        """Read the constructor's options from a checkpoint of the authors' code.

        Returns:
            None if the weights are of another network.
        """
        modules = {name.partition(".")[0] for name in weights}
        if not modules <= _OFFICIAL_STEMS.keys() or not weights.keys() >= _OFFICIAL_MARKS:
            return None
        levels = range(_depth(weights, "ups"))
        return {
            "width": len(weights["intro.weight"]),
            "encoder": [_depth(weights, f"encoders.{level}") for level in levels],
            "middle": _depth(weights, "middle_blks"),
            "decoder": [_depth(weights, f"decoders.{index}") for index in levels],
        }

    @staticmethod
    def rename_official(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Map a checkpoint of the authors' code onto this network's names."""
        levels = _depth(weights, "ups")
        return {_our_name(name, levels): value for name, value in weights.items()}


class _Upsample(nn.Module):
    """[B, C, H, W] -> [B, C/2, 2H, 2W]: a convolution to 2C channels, then a pixel shuffle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.widen = nn.Conv2d(channels, 2 * channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        # Both at once: each pixel is spread over a 2 x 2 square, which is a transposed convolution.
        kernel = self.widen.weight.unflatten(0, (-1, 2, 2)).flatten(3).permute(3, 0, 1, 2)  # [C, C/2, 2, 2]
        return F.conv_transpose2d(x, kernel, stride=2)


class _Mix(nn.Module):
    """The first half of a block: pixels meet their neighbours, channels their mean over the image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels, eps=1e-6)
        self.widen = nn.Conv2d(channels, 2 * channels, 1)
        self.blend = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels)
        self.pooled = Pooled()
        self.weigh = nn.Conv2d(channels, channels, 1)
        self.narrow = nn.Conv2d(channels, channels, 1)
        self.gain = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        gated = _gate(self.blend(self.widen(self.norm(x))))
        weights = self.weigh(self.pooled(gated.mean((2, 3), keepdim=True)))
        return x + _scaled(self.narrow, gated * weights, self.gain)


class _FeedForward(nn.Module):
    """The second half of a block: each pixel on its own."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels, eps=1e-6)
        self.widen = nn.Conv2d(channels, 2 * channels, 1)
        self.narrow = nn.Conv2d(channels, channels, 1)
        self.gain = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + _scaled(self.narrow, _gate(self.widen(self.norm(x))), self.gain)


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = _Mix(channels)
        self.feedforward = _FeedForward(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.feedforward(self.mix(x))


def _gate(x: Tensor) -> Tensor:
    """Half of the channels multiplies the other half (the paper's SimpleGate)."""
    value, gate = x.chunk(2, dim=1)
    return value * gate


def _scaled(narrow: nn.Conv2d, x: Tensor, gain: Tensor) -> Tensor:
    """`narrow(x) * gain`, with the gain in the small kernel instead of the large result."""
    bias = None if narrow.bias is None else narrow.bias * gain.flatten()
    return F.conv2d(x, narrow.weight * gain.transpose(0, 1), bias)


def _stage(channels: int, depth: int, recompute: bool) -> Stage:
    return Stage((_Block(channels) for _ in range(depth)), recompute)


def _heads(channels: int) -> int:
    """As many groups of about 24 channels as divide `channels` evenly."""
    return next(heads for heads in range(max(1, round(channels / 24)), 0, -1) if channels % heads == 0)


_OFFICIAL_STEMS = {
    "intro": "from_image", "encoders": "encoder", "downs": "down", "middle_blks": "middle",
    "ups": "up", "decoders": "decoder", "ending": "to_image",
}  # fmt: skip
# The second tells it from the authors' Baseline, whose modules have the same names.
_OFFICIAL_MARKS = {"intro.weight", "encoders.0.0.sca.1.weight"}
_OFFICIAL_LEAVES = {
    "norm1": "mix.norm", "conv1": "mix.widen", "conv2": "mix.blend", "sca.1": "mix.weigh",
    "conv3": "mix.narrow", "beta": "mix.gain",
    "norm2": "feedforward.norm", "conv4": "feedforward.widen", "conv5": "feedforward.narrow",
    "gamma": "feedforward.gain",
}  # fmt: skip


def _depth(weights: Mapping[str, Tensor], stage: str) -> int:
    rests = (name.removeprefix(f"{stage}.") for name in weights if name.startswith(f"{stage}."))
    return len({rest.partition(".")[0] for rest in rests})


def _our_name(official: str, levels: int) -> str:
    stem, _, rest = official.partition(".")
    if stem in ("ups", "decoders"):  # theirs count from the coarsest level
        level, _, rest = rest.partition(".")
        rest = rest if stem == "decoders" else rest.replace("0.", "widen.")
        rest = f"{levels - 1 - int(level)}.{rest}"
    for theirs, ours in _OFFICIAL_LEAVES.items():
        rest = rest.replace(theirs, ours)
    return f"{_OFFICIAL_STEMS.get(stem, stem)}.{rest}"
