"""DINOv2 as published: the prior that DINO-IR is named after."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from dino_ir.contracts import Prior
from dino_ir.layers.imagenet import normalise
from dino_ir.layers.vit import PositionResize, VisionTransformer

__all__ = ["DINOv2"]


class _Size(NamedTuple):
    width: int
    depth: int
    heads: int
    layers: tuple[int, ...]
    gated: bool = False


_SIZES = {
    "tiny": _Size(16, 3, 2, (0, 1, 2)),
    "small": _Size(384, 12, 6, (2, 6, 11)),
    "base": _Size(768, 12, 12, (2, 6, 11)),
    "large": _Size(1024, 24, 16, (5, 13, 23)),
    "giant": _Size(1536, 40, 24, (9, 22, 39), gated=True),
}
_PATCH, _GRID, _REGISTERS = 14, 37, 4  # taught at 37 x 14 = 518 pixels

# The names that transformers has in its files, and since version 5 in memory, and ours. Where one begins with
# another, the longer comes first.
_NAMES = {
    "dinov2.": "",
    "dinov2_with_registers.": "",
    "embeddings.patch_embeddings.projection": "patch_embed.proj",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.": "",
    "encoder.layer.": "blocks.",
    "attention.attention.query": "attn.query",
    "attention.attention.key": "attn.key",
    "attention.attention.value": "attn.value",
    "attention.output.dense": "attn.proj",
    "attention.q_proj": "attn.query",
    "attention.k_proj": "attn.key",
    "attention.v_proj": "attn.value",
    "attention.o_proj": "attn.proj",
    "layer_scale1.lambda1": "ls1.gamma",
    "layer_scale2.lambda1": "ls2.gamma",
    "mlp.weights_in": "mlp.w12",
    "mlp.weights_out": "mlp.w3",
    "mlp.down_proj": "mlp.w3",
    "layernorm.": "norm.",
}
_NAME = re.compile("|".join(map(re.escape, _NAMES)))
_JOINED = {
    "attn.qkv": ("attn.query", "attn.key", "attn.value"),
    "mlp.w12": ("mlp.gate_proj", "mlp.up_proj"),
}


class DINOv2(Prior):
    """A published DINOv2: the normed patch tokens of chosen blocks, with patches of 14 pixels.

    Oquab et al., TMLR 2024 (arXiv 2304.07193); registers: Darcet et al., ICLR 2024 (arXiv 2309.16588).
    DINO-IR names neither the size nor the blocks, so the defaults are ours: base, and blocks at about
    the same depth in every size.

    Args:
        size: "small", "base", "large" or "giant", of 22, 87, 304 and 1136 million parameters; or "tiny",
            which has no published weights and is for tests.
        registers: the variant with four extra tokens that hold no patch.
        layers: the blocks that `forward` returns, shallow to deep; 0 is the first. None: (2, 6, 11) of 12
            blocks, (5, 13, 23) of 24, (9, 22, 39) of 40.
        weights: a local file with the published tensors, named as DINOv2's authors or transformers name
            them; None takes those that go by the size's name.

    Raises:
        ValueError: an unknown size, or a layer that does not exist.
    """

    tiny = MappingProxyType({"size": "tiny"})

    def __init__(
        self,
        size: str = "base",
        registers: bool = False,
        layers: Sequence[int] | None = None,
        weights: str | None = None,
    ) -> None:
        super().__init__()
        if size not in _SIZES:
            raise ValueError(f"size must be one of {', '.join(_SIZES)}, got {size!r}")
        width, depth, heads, usual, gated = _SIZES[size]
        self.layers = usual if layers is None else tuple(layers)
        if not self.layers or min(self.layers) < 0 or max(self.layers) >= depth:
            raise ValueError(f"layers must be from 0 to {depth - 1}, got {list(self.layers)}")
        self.channels = (width,) * len(self.layers)
        self.stride = _PATCH
        published = None if size == "tiny" else f"dinov2_vit{size[0]}14{'_reg' if registers else ''}"
        self.pretrained = published if weights is None else weights
        # The authors resize the position maps of the two variants in different ways.
        position = PositionResize() if registers else PositionResize(offset=0.1, antialias=False)
        extra = _REGISTERS if registers else 0
        self.vit = VisionTransformer(
            width, depth, heads, _PATCH, _GRID, extra, position=position, gated=gated
        )
        self.train(False)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.blocks(image, self.layers)

    def blocks(self, image: Tensor, indices: Sequence[int]) -> tuple[Tensor, ...]:
        return self.vit(normalise(image), indices)

    def embed(self, image: Tensor) -> Tensor:
        """The embedding of each patch alone, which no block has seen: [B, C, H / stride, W / stride]."""
        return self.vit.embed(normalise(image))

    @staticmethod
    def rename_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Map the names of DINOv2's authors or of transformers onto this prior's `state_dict`.

        What transformers keeps apart, such as queries, keys and values, is joined. Names that neither
        has, such as a classifier's, stay in, and a part that lacks its others is left alone, so that
        `load_state_dict` refuses both.
        """
        renamed = {_rename(name): value for name, value in state.items()}
        for whole, parts in _JOINED.items():
            for first in [name for name in renamed if parts[0] in name]:
                names = [first.replace(parts[0], part) for part in parts]
                if renamed.keys() >= set(names):
                    joined = torch.cat([renamed.pop(name) for name in names])
                    renamed[first.replace(parts[0], whole)] = joined
        return renamed


def _rename(name: str) -> str:
    name = _NAME.sub(lambda found: _NAMES[found[0]], name)
    return name if name.startswith("vit.") else f"vit.{name}"
