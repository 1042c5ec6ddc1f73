"""D-R adaption and fusion: the prior's map decides how a network's channels mix."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from dino_ir.contracts import LevelFusion, Place, View
from dino_ir.ops.resample import box_weights
from dino_ir.pools import Pooled

__all__ = ["AdaptAndFuse"]


class AdaptAndFuse(LevelFusion):
    r"""Attention across channels, asked by the prior, answered by the network (DINO-IR, equation 5).

    .. math:: F_O = g \odot \mathrm{softmax}(W_q F_{DA} \times W_k F_I) \times F_I + F_I

    F_DA is the prior's map adapted to the place's channels and scale, F_I the network's features. The
    paper swaps the letters of the two projections; the order of its operands is the one used here. It
    scales the product, a sum over pixels, by 1 / sqrt(C), which lets the resolution set the sharpness
    of the softmax; here, unless `scale` says otherwise, both sides are normalised over the pixels and a
    temperature is learned, as in Restormer's own attention.

    Args:
        channels: of the prior's map.
        places: where the network is steered; attention works within `heads` groups of channels.
        starts_at_zero: whether a gain g on each channel, 0 at first, lets training start from the
            unguided network. Without it g = 1, the paper's letter.
        scale: "learned", or "paper" for 1 / sqrt(C), with the C of a group.
        temperature: that a learned scale starts from. At 1, Restormer's, the softmax of products of unit
            vectors is nearly even: every photo's guide is then the same until long training sharpens it.

    Raises:
        ValueError: an unknown scale.

    Shape:
        [B, C, H, W] -> [B, C, H, W]; memory beside the features is O(C^2).

    Three passes over the features: pulled back, multiplied with themselves, mixed.
    """

    def __init__(
        self,
        channels: int,
        places: Sequence[Place],
        starts_at_zero: bool = True,
        scale: str = "learned",
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        if scale not in ("learned", "paper"):
            raise ValueError(f'scale must be "learned" or "paper", got {scale!r}')
        self.heads = [place.heads for place in places]
        widths = [place.channels for place in places]
        self.adapt = nn.ModuleList(nn.Conv2d(channels, width, 1) for width in widths)
        self.to_query = nn.ModuleList(nn.Conv2d(width, width, 1, bias=False) for width in widths)
        self.to_key = nn.ModuleList(nn.Conv2d(width, width, 1, bias=False) for width in widths)
        is_learned = scale == "learned"
        self.temperature = (
            nn.ParameterList(torch.full((heads, 1, 1), float(temperature)) for heads in self.heads)
            if is_learned
            else None
        )
        self.gain = nn.ParameterList(torch.zeros(width) for width in widths) if starts_at_zero else None
        self.pooled = Pooled()

    def forward(self, place: int, features: Tensor, view: View) -> Tensor:
        tokens = features.permute(0, 2, 3, 1)  # [B, H, W, C], as it lies in channels-last memory
        mix = self.attention(place, tokens, view)
        if self.gain is not None:
            mix = mix * self.gain[place].view(mix.shape[1], -1, 1)
        mix = mix + torch.eye(mix.shape[-1], device=mix.device)  # the residual
        groups = (
            tokens.unflatten(-1, (self.heads[place], -1)).flatten(1, 2).transpose(1, 2)
        )  # [B, h, HW, C/h]
        mixed = (groups @ mix.to(features.dtype).mT).transpose(1, 2).reshape(tokens.shape)
        return mixed.permute(0, 3, 1, 2)

    def attention(self, place: int, tokens: Tensor, view: View) -> Tensor:
        """How much of each channel goes into each channel of its group.

        The query is the prior's map, upsampled; the key a projection of the features. Both enter as
        sums over pixels alone, so neither is ever made: with R q K^T for the upsampled query,
        <R q K^T, W f> = <q, W (R^T f K)> needs the features pulled back to the map's grid, and the lengths
        need R^T R, K^T K and the features' products with themselves.

        Args:
            place: counts the places.
            tokens: [B, H, W, C].
            view: the prior's map, and where in it the features lie.

        Returns:
            [B, heads, C / heads, C / heads], float32; each row sums to 1.
        """
        height, width = view.map.shape[-2:]
        # 1x1 convolutions and resizing commute, so both projections run on the small grid.
        query = self.to_query[place](self.adapt[place](view.map)).float()
        query = query.repeat_interleave(len(tokens) // len(query), dim=0)
        rows, columns = box_weights(view.box, (tokens.shape[1], tokens.shape[2]), (height, width))
        pulled = _pull_back(tokens, rows, columns).permute(0, 3, 1, 2)
        key = self.to_key[place](pulled).float()
        pixels = tokens.shape[1] * tokens.shape[2]  # sums over a tile and over a photo differ by them
        product = self._grouped(place, query) @ self._grouped(place, key).transpose(-2, -1)
        product = self.pooled(product / pixels)
        if self.temperature is None:
            return (product * pixels / product.shape[-1] ** 0.5).softmax(dim=-1)
        query_square = (_gram(rows)[:, None] @ query @ _gram(columns)[:, None] * query).sum(dim=(2, 3))
        key_square = _projected_square(
            tokens.flatten(1, 2), cast(nn.Conv2d, self.to_key[place]).weight.flatten(1)
        )
        query_length, key_length = (
            _root(self.pooled(square / pixels)) for square in (query_square, key_square)
        )
        scale = self._grouped(place, query_length) * self._grouped(place, key_length).mT
        return (product / scale * self.temperature[place]).softmax(dim=-1)

    def _grouped(self, place: int, x: Tensor) -> Tensor:
        """[B, C, ...] -> [B, heads, C / heads, the rest]."""
        return x.reshape(len(x), self.heads[place], x.shape[1] // self.heads[place], -1)


def _pull_back(tokens: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """R^T f K: [B, H, W, C] -> [B, h, w, C]."""
    batch, height, width, channels = tokens.shape
    narrow = rows.to(tokens.dtype).mT @ tokens.reshape(batch, height, width * channels)  # [B, h, W C]
    return columns.to(tokens.dtype).mT[:, None] @ narrow.view(batch, -1, width, channels)


def _gram(x: Tensor) -> Tensor:
    """Products of the columns of [B, N, M] with each other, [B, M, M]."""
    return x.mT @ x


def _projected_square(tokens: Tensor, weight: Tensor) -> Tensor:
    """Square lengths, over the pixels, of the channels of W f: [B, N, C] -> [B, C], the shorter way."""
    if tokens.shape[1] <= tokens.shape[2]:
        return (tokens @ weight.to(tokens.dtype).T).float().square().sum(dim=1)
    return (weight @ _gram(tokens).float() * weight).sum(dim=2)


def _root(square: Tensor) -> Tensor:
    """The root of sums of squares; rounding may leave them below 0, and at 0 the slope is infinite."""
    return square.clamp(min=1e-12).sqrt()
