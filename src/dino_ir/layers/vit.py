"""A plain vision transformer, with the parameter names of DINOv2's published files.

Dosovitskiy et al., ICLR 2021 (arXiv 2010.11929); layer scale: Touvron et al., ICCV 2021 (arXiv 2103.17239);
registers: Darcet et al., ICLR 2024 (arXiv 2309.16588); the gated feed-forward: Shazeer, arXiv 2002.05202.
Names that break our glossary (`ls1`, `fc1`, ...) are those of the published state dicts, which load strictly.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dino_ir.ops.filters import cubic_weights

__all__ = ["PositionResize", "VisionTransformer"]

_NORM_EPS = 1e-6


class PositionResize(NamedTuple):
    """How the learned position map is fitted, bicubically, to a grid other than its own.

    DINOv2 without registers needs `offset=0.1, antialias=False`, with registers the default.
    """

    offset: float = 0.0  # added to the grid before the scale is taken; 0 resizes to the exact size
    antialias: bool = True


class VisionTransformer(nn.Module):
    """A vision transformer that gives the feature maps of any of its blocks.

    Args:
        width: channels of a token.
        depth: number of blocks.
        heads: attention heads; `width` divides by it.
        patch: side of a patch in pixels.
        grid: side of the position map in patches, which is the training image's.
        registers: extra tokens that hold no patch.
        layer_scale: gain that each residual branch starts with.
        position: how the position map is resized to other grids.
        gated: whether the feed-forward is SwiGLU, as DINOv2's largest size has it, or two layers with GELU.

    Raises:
        ValueError: `width` does not divide by `heads`.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        heads: int,
        patch: int,
        grid: int,
        registers: int = 0,
        layer_scale: float = 1.0,
        position: PositionResize = PositionResize(),  # noqa: B008  (immutable)
        gated: bool = False,
    ) -> None:
        super().__init__()
        self.patch = patch
        self.grid = grid
        self.position = position
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * 1e-6)
        self.pos_embed = nn.Parameter(torch.randn(1, 1 + grid * grid, width).mul_(0.02))
        self.register_tokens = nn.Parameter(torch.randn(1, registers, width) * 1e-6) if registers else None
        self.mask_token = nn.Parameter(torch.zeros(1, width))
        self.patch_embed = _PatchEmbedding(width, patch)
        self.blocks = nn.ModuleList(_Block(width, heads, layer_scale, gated) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=_NORM_EPS)
        self.blocks.apply(_initialise)

    def forward(self, image: Tensor, blocks: Sequence[int], norm: bool = True) -> tuple[Tensor, ...]:
        """Describe an image by the maps after chosen blocks, computed no deeper than the last of them.

        Args:
            image: [B, 3, H, W], already normalised; H and W divide by `patch`.
            blocks: indices, 0 is the first block.
            norm: apply the final layer norm to every map.

        Returns:
            Maps [B, width, H / patch, W / patch] in the order of `blocks`.

        Raises:
            ValueError: no block chosen, or one that does not exist.
        """
        if not blocks or min(blocks) < 0 or max(blocks) >= len(self.blocks):
            raise ValueError(f"blocks must be from 0 to {len(self.blocks) - 1}, got {list(blocks)}")
        size = (image.shape[-2] // self.patch, image.shape[-1] // self.patch)
        x = self._start(image, None)
        maps: dict[int, Tensor] = {}
        for index, block in enumerate(self.blocks[: max(blocks) + 1]):
            x = block(x)
            if index in blocks:
                patches = self.norm(x[:, self._extra :]) if norm else x[:, self._extra :]
                maps[index] = patches.transpose(1, 2).unflatten(2, size)
        return tuple(maps[index] for index in blocks)

    def embed(self, image: Tensor) -> Tensor:
        """The patches as they are embedded, before positions and blocks: [B, width, h, w].

        Args:
            image: [B, 3, H, W], already normalised.

        Raises:
            ValueError: H or W does not divide by `patch`.
        """
        if image.shape[-2] % self.patch or image.shape[-1] % self.patch:
            raise ValueError(f"both sides must divide by {self.patch}, got {list(image.shape)}")
        return self.patch_embed(image)

    def tokens(self, image: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The normed tokens after the last block, as a self-distillation learner needs them.

        Args:
            image: [B, 3, H, W], already normalised; H and W divide by `patch`.
            mask: [B, N] bool; True where the learned mask token hides a patch, row by row.

        Returns:
            The class token [B, width] and the patch tokens [B, N, width].
        """
        x = self._start(image, mask)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return x[:, 0], x[:, self._extra :]

    @property
    def _extra(self) -> int:
        """Tokens before the first patch."""
        return 1 if self.register_tokens is None else 1 + self.register_tokens.shape[1]

    def _start(self, image: Tensor, mask: Tensor | None) -> Tensor:
        """The tokens that the first block gets, [B, 1 + registers + N, C]."""
        embedded = self.embed(image)
        height, width = embedded.shape[-2:]
        x = embedded.flatten(2).transpose(1, 2)
        if mask is not None:
            x = torch.where(mask[..., None], self.mask_token.to(x.dtype), x)
        batch = x.shape[0]
        x = torch.cat((self.cls_token.expand(batch, -1, -1), x), dim=1) + self._positions(height, width)
        if self.register_tokens is not None:
            registers = self.register_tokens.expand(batch, -1, -1)
            x = torch.cat((x[:, :1], registers, x[:, 1:]), dim=1)
        return x

    def _positions(self, height: int, width: int) -> Tensor:
        """The position map fitted to a grid: [1, 1 + height * width, C]."""
        is_exporting = torch.compiler.is_exporting()  # the sizes are then symbols that equal nothing
        if not is_exporting and (height, width) == (self.grid, self.grid):
            return self.pos_embed
        native = self.pos_embed[:, 1:].float().transpose(1, 2).unflatten(2, (self.grid, self.grid))
        offset, antialias = self.position
        # Programs that run graphs resize bicubically each in its own way, and torch wrongly to one column.
        if is_exporting or width == 1:
            rows, columns = (cubic_weights(n, self.grid, offset, antialias) for n in (height, width))
            fitted = rows @ native @ columns.mT
        elif offset:  # the scale itself shifts where the map is sampled, so it must be handed over as such
            scale = ((height + offset) / self.grid, (width + offset) / self.grid)
            fitted = F.interpolate(native, scale_factor=scale, mode="bicubic", antialias=antialias)
        else:
            fitted = F.interpolate(native, (height, width), mode="bicubic", antialias=antialias)
        return torch.cat((self.pos_embed[:, :1], fitted.flatten(2).transpose(1, 2).to(self.pos_embed)), dim=1)


class _PatchEmbedding(nn.Module):
    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(image)


class _Block(nn.Module):
    """Attention, then feed-forward, each on a normed input, scaled and added back."""

    def __init__(self, width: int, heads: int, layer_scale: float, gated: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=_NORM_EPS)
        self.attn = _Attention(width, heads)
        self.ls1 = _LayerScale(width, layer_scale)
        self.norm2 = nn.LayerNorm(width, eps=_NORM_EPS)
        self.mlp = _GatedFeedForward(width) if gated else _FeedForward(width)
        self.ls2 = _LayerScale(width, layer_scale)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{width} channels do not split into {heads} heads")
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each [B, h, N, C/h]
        attended = F.scaled_dot_product_attention(q, k, v)
        return self.proj(attended.transpose(1, 2).flatten(2))


class _FeedForward(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class _GatedFeedForward(nn.Module):
    """SwiGLU, about as large as the other: 8 / 3 of the width, rounded up to a multiple of 8."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = (4 * width * 2 // 3 + 7) // 8 * 8
        self.w12 = nn.Linear(width, 2 * hidden)
        self.w3 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.w12(x).chunk(2, dim=-1)
        return self.w3(F.silu(gate) * value)


class _LayerScale(nn.Module):
    def __init__(self, width: int, start: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), start))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
