"""Restormer (Zamir et al., CVPR 2022, https://arxiv.org/abs/2111.09881), written from the paper.

degraded ─ from_image ─ E0 ────────── skip ────────── D0 ─ refine ─ to_image ─ + degraded
                         └ E1 ─────── skip ─────── D1 ┘
                            └ E2 ──── skip ──── D2 ┘
                               └──── latent ────┘
"""

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType

import torch
from torch import Tensor, nn

from dino_ir.contracts import Guide, Network, Place, no_guide
from dino_ir.layers.channel_attention import ChannelAttention
from dino_ir.layers.gated_feedforward import GatedFeedForward
from dino_ir.layers.norm import ChannelNorm

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

    Shape:
        [B, 3, H, W] -> [B, 3, H, W]; H and W divide by `multiple_of`.

    Raises:
        ValueError: `depths` and `heads` differ in length, or a level's width does not divide by its heads.
    """

    tiny = MappingProxyType({"dim": 8, "depths": (1, 1, 1), "heads": (1, 2, 4), "refine": 1})

    def __init__(
        self,
        dim: int = 48,
        depths: Sequence[int] = (4, 6, 6, 8),
        heads: Sequence[int] = (1, 2, 4, 8),
        refine: int = 4,
        expansion: float = 2.66,
        norm_bias: bool = True,
    ) -> None:
        super().__init__()
        if len(heads) != len(depths):
            raise ValueError(f"{len(depths)} depths need as many heads, got {len(heads)}")
        *widths, latent = (dim * 2**level for level in range(len(depths)))
        # The finest level keeps both halves of its skip instead of merging them, so it is 2x wide.
        out_widths = [2 * dim, *widths[1:]]
        stage = partial(_stage, expansion=expansion, norm_bias=norm_bias)
        self.multiple_of = 2 ** len(widths)
        ends = zip([*out_widths, latent], heads)
        self.places = tuple(Place(width, 2**level, count) for level, (width, count) in enumerate(ends))[::-1]

        self.from_image = nn.Conv2d(3, dim, 3, padding=1, bias=False)
        self.encoder = nn.ModuleList(map(stage, widths, heads, depths))
        self.down = nn.ModuleList(map(_downsample, widths))
        self.latent = stage(latent, heads[-1], depths[-1])
        self.up = nn.ModuleList(map(_upsample, [*widths[1:], latent]))
        self.merge = nn.ModuleList(map(_merge, widths, out_widths))
        self.decoder = nn.ModuleList(map(stage, out_widths, heads, depths[:-1]))
        self.refine = stage(2 * dim, heads[0], refine)
        self.to_image = nn.Conv2d(2 * dim, 3, 3, padding=1, bias=False)

    def forward(self, degraded: Tensor, guide: Guide = no_guide) -> Tensor:
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
        return degraded + self.to_image(self.refine(x))

    @staticmethod
    def rename_official(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Map a checkpoint of the authors' code onto this network's names."""
        return {_our_name(name): value for name, value in weights.items()}


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


def _stage(channels: int, heads: int, depth: int, expansion: float, norm_bias: bool) -> nn.Sequential:
    return nn.Sequential(*(_Block(channels, heads, expansion, norm_bias) for _ in range(depth)))


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
