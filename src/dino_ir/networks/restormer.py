"""Restormer (Zamir et al., CVPR 2022, https://arxiv.org/abs/2111.09881), written from the paper.

degraded ─ from_image ─ E0 ────────── skip ────────── D0 ─ refine ─ to_image ─ + degraded
                         └ E1 ─────── skip ─────── D1 ┘
                            └ E2 ──── skip ──── D2 ┘
                               └──── latent ────┘
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from dino_ir.contracts import Guide, Network, Place, no_guide
from dino_ir.errors import WeightsError
from dino_ir.layers.channel_attention import ChannelAttention
from dino_ir.layers.gated_feedforward import GatedFeedForward
from dino_ir.layers.norm import ChannelNorm
from dino_ir.layers.precision import exactly
from dino_ir.layers.stage import Stage

__all__ = ["Restormer"]


class Restormer(Network):
    """A U-shaped transformer; each level halves the image and doubles the width.

    Args:
        dim: width at full resolution.
        depths: blocks at each encoder level, fine to coarse; the last is the latent.
        heads: attention heads at each level, as many as `depths`.
        refine: blocks after the decoder, at full resolution.
        expansion: hidden width of a feed-forward layer, relative to its input.
        norm_bias: False for the bias-free norm that blind denoisers use.
        colors: 3, or 1 for a network of grey pictures: it restores red, green and blue one after the
            other, each as a picture of its own, and a guide steers each.
        recompute: as in `layers.stage.Stage`; changes nothing but what training takes.

    Shape:
        [B, 3, H, W] -> [B, 3, H, W]; H and W divide by `multiple_of`.

    Raises:
        ValueError: `depths` and `heads` differ in length, a level's width does not divide by its heads, or
            `colors` is neither 1 nor 3.
    """

    tiny = MappingProxyType({"dim": 8, "depths": (1, 1, 1), "heads": (1, 2, 4), "refine": 1})
    tile_side = 256

    def __init__(
        self,
        dim: int = 48,
        depths: Sequence[int] = (4, 6, 6, 8),
        heads: Sequence[int] = (1, 2, 4, 8),
        refine: int = 4,
        expansion: float = 2.66,
        norm_bias: bool = True,
        colors: int = 3,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        if len(heads) != len(depths):
            raise ValueError(f"{len(depths)} depths need as many heads, got {len(heads)}")
        if colors not in (1, 3):
            raise ValueError(f"expected 1 or 3 colors, got {colors}")
        self.colors = colors
        *widths, latent = (dim * 2**level for level in range(len(depths)))
        # The finest level keeps both halves of its skip instead of merging them, so it is 2x wide.
        out_widths = [2 * dim, *widths[1:]]
        stage = partial(_stage, expansion=expansion, norm_bias=norm_bias, recompute=recompute)
        self.multiple_of = 2 ** len(widths)
        ends = zip([*out_widths, latent], heads)
        self.places = tuple(Place(width, 2**level, count) for level, (width, count) in enumerate(ends))[::-1]

        self.from_image = nn.Conv2d(colors, dim, 3, padding=1, bias=False)
        self.encoder = nn.ModuleList(map(stage, widths, heads, depths))
        self.down = nn.ModuleList(map(_downsample, widths))
        self.latent = stage(latent, heads[-1], depths[-1])
        self.up = nn.ModuleList(map(_upsample, [*widths[1:], latent]))
        self.merge = nn.ModuleList(map(_merge, widths, out_widths))
        self.decoder = nn.ModuleList(map(stage, out_widths, heads, depths[:-1]))
        self.refine = stage(2 * dim, heads[0], refine)
        self.to_image = nn.Conv2d(2 * dim, colors, 3, padding=1, bias=False)

    def forward(self, degraded: Tensor, guide: Guide = no_guide) -> Tensor:
        pictures = degraded.split(self.colors, dim=1)
        return torch.cat([self._restore(picture, guide) for picture in pictures], dim=1)

    def blocks(self) -> list[nn.Module]:
        return [module for module in self.modules() if isinstance(module, _Block)]

    @staticmethod
    def options_of_official(weights: Mapping[str, Tensor]) -> dict[str, Any] | None:
        """Read the constructor's options from a checkpoint of the authors' code.

        Returns:
            None if the weights are of another network.

        Raises:
            WeightsError: they are of the variant for pairs of dual-pixel views.
        """
        foreign = {name.partition(".")[0] for name in weights} - _OFFICIAL_MODULES
        if foreign - {"skip_conv"} or not weights.keys() >= _OFFICIAL_MARKS:
            return None
        if foreign:
            raise WeightsError(
                "these weights are of the Restormer that sharpens a pair of dual-pixel views; "
                "give those of one that takes a single photo"
            )
        dim, colors = weights[_OFFICIAL_INPUT].shape[:2]
        return {
            "dim": dim,
            "depths": [_depth(weights, stage) for stage in _OFFICIAL_LEVELS],
            "heads": [len(weights[f"{stage}.0.attn.temperature"]) for stage in _OFFICIAL_LEVELS],
            "refine": _depth(weights, "refinement"),
            "expansion": _expansion(weights),
            "norm_bias": "latent.0.norm1.body.bias" in weights,
            "colors": colors,
        }

    @staticmethod
    def rename_official(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Map a checkpoint of the authors' code onto this network's names."""
        return {_our_name(name): value for name, value in weights.items()}

    def _restore(self, degraded: Tensor, guide: Guide) -> Tensor:
        with exactly(degraded.device):
            x = self.from_image(degraded.to(memory_format=torch.channels_last))
        skips: list[Tensor] = []
        for stage, down in zip(self.encoder, self.down):
            skips.append(stage(x))
            # Shuffling, here and below, loses the memory format on some devices.
            x = down(skips[-1]).to(memory_format=torch.channels_last)
        x = guide(0, self.latent(x))
        for place, level in enumerate(reversed(range(len(skips))), start=1):
            x = self.up[level](x).to(memory_format=torch.channels_last)
            x = self.merge[level](torch.cat((x, skips[level]), dim=1))
            x = guide(place, self.decoder[level](x))
        x = self.refine(x)
        with exactly(degraded.device):
            return degraded + self.to_image(x.to(degraded.dtype))


class _Block(nn.Module):
    """Attention, then feed-forward, each on a normalised input and added back."""

    def __init__(self, channels: int, heads: int, expansion: float, norm_bias: bool) -> None:
        super().__init__()
        self.attention_norm = ChannelNorm(channels, norm_bias)
        self.attention = ChannelAttention(channels, heads)
        self.feedforward_norm = ChannelNorm(channels, norm_bias)
        self.feedforward = GatedFeedForward(channels, expansion)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x))
        return x + self.feedforward(self.feedforward_norm(x))


def _stage(
    channels: int, heads: int, depth: int, expansion: float, norm_bias: bool, recompute: bool
) -> Stage:
    return Stage((_Block(channels, heads, expansion, norm_bias) for _ in range(depth)), recompute)


def _downsample(channels: int) -> nn.Sequential:
    """[B, C, H, W] -> [B, 2C, H/2, W/2]."""
    return nn.Sequential(nn.Conv2d(channels, channels // 2, 3, padding=1, bias=False), nn.PixelUnshuffle(2))


def _upsample(channels: int) -> nn.Sequential:
    """[B, C, H, W] -> [B, C/2, 2H, 2W]."""
    return nn.Sequential(nn.Conv2d(channels, channels * 2, 3, padding=1, bias=False), nn.PixelShuffle(2))


def _merge(width: int, out_width: int) -> nn.Module:
    return nn.Identity() if 2 * width == out_width else nn.Conv2d(2 * width, out_width, 1, bias=False)


_OFFICIAL_STEMS = {
    "patch_embed.proj": "from_image",
    "encoder_level1": "encoder.0", "down1_2.body": "down.0",
    "encoder_level2": "encoder.1", "down2_3.body": "down.1",
    "encoder_level3": "encoder.2", "down3_4.body": "down.2",
    "latent": "latent",
    "up4_3.body": "up.2", "reduce_chan_level3": "merge.2", "decoder_level3": "decoder.2",
    "up3_2.body": "up.1", "reduce_chan_level2": "merge.1", "decoder_level2": "decoder.1",
    "up2_1.body": "up.0", "decoder_level1": "decoder.0",
    "refinement": "refine", "output": "to_image",
}  # fmt: skip
_OFFICIAL_MODULES = {stem.partition(".")[0] for stem in _OFFICIAL_STEMS}
_OFFICIAL_INPUT = "patch_embed.proj.weight"
_OFFICIAL_LEVELS = ("encoder_level1", "encoder_level2", "encoder_level3", "latent")
_OFFICIAL_MARKS = {_OFFICIAL_INPUT, "latent.0.ffn.project_out.weight"} | {
    f"{stage}.0.attn.temperature" for stage in _OFFICIAL_LEVELS
}
_OFFICIAL_LEAVES = {
    "norm1.body": "attention_norm", "attn.qkv_dwconv": "attention.blend", "attn.qkv": "attention.to_qkv",
    "attn.project_out": "attention.project", "attn.temperature": "attention.temperature",
    "norm2.body": "feedforward_norm", "ffn.project_in": "feedforward.widen",
    "ffn.dwconv": "feedforward.blend", "ffn.project_out": "feedforward.narrow",
}  # fmt: skip


def _our_name(official: str) -> str:
    stem = next((stem for stem in _OFFICIAL_STEMS if official.startswith(f"{stem}.")), "")
    rest = official.removeprefix(stem)
    for theirs, ours in _OFFICIAL_LEAVES.items():
        rest = rest.replace(theirs, ours)
    return _OFFICIAL_STEMS.get(stem, "") + rest


def _depth(weights: Mapping[str, Tensor], stage: str) -> int:
    return len({name.split(".")[1] for name in weights if name.startswith(f"{stage}.")})


def _expansion(weights: Mapping[str, Tensor]) -> float:
    """The shortest decimal that gives every hidden width: 2.66 for 127 of 48, ..., 1021 of 384."""
    narrow = [value.shape[:2] for name, value in weights.items() if name.endswith("ffn.project_out.weight")]
    least = max(hidden / channels for channels, hidden in narrow)
    decimals = (math.ceil(least * 10**digits) / 10**digits for digits in range(1, 9))
    fitting = (ratio for ratio in decimals if all(int(width * ratio) == hidden for width, hidden in narrow))
    return next(fitting, least)
