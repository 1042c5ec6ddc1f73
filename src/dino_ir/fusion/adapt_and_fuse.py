"""D-R adaption and fusion: the prior's map decides how a network's channels mix."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dino_ir.contracts import LevelFusion, Place, View
from dino_ir.ops.resample import sample_box

__all__ = ["AdaptAndFuse"]


class AdaptAndFuse(LevelFusion):
    r"""Attention across channels, asked by the prior, answered by the network (DINO-IR, equation 5).

    .. math:: F_O = g \odot \mathrm{softmax}(W_q F_{DA} \times W_k F_I) \times F_I + F_I

    F_DA is the prior's map adapted to the place's channels and scale, F_I the network's features. The
    paper swaps the letters of the two projections; the order of its operands is the one used here. It
    scales the product, a sum over pixels, by 1 / sqrt(C), which lets the resolution set the sharpness
    of the softmax; here both sides are normalised over the pixels and a temperature is learned, as in
    Restormer's own attention.

    Args:
        channels: of the prior's map.
        places: where the network is steered; attention works within `heads` groups of channels.
        starts_at_zero: whether a gain g on each channel, 0 at first, lets training start from the
            unguided network. Without it g = 1, the paper's letter.

    Shape:
        [B, C, H, W] -> [B, C, H, W]; memory beside the features is O(C^2).
    """

    def __init__(self, channels: int, places: Sequence[Place], starts_at_zero: bool = True) -> None:
        super().__init__()
        self.heads = [place.heads for place in places]
        widths = [place.channels for place in places]
        self.adapt = nn.ModuleList(nn.Conv2d(channels, width, 1) for width in widths)
        self.to_query = nn.ModuleList(nn.Conv2d(width, width, 1, bias=False) for width in widths)
        self.to_key = nn.ModuleList(nn.Conv2d(width, width, 1, bias=False) for width in widths)
        self.temperature = nn.ParameterList(torch.ones(heads, 1, 1) for heads in self.heads)
        self.gain = nn.ParameterList(torch.zeros(width) for width in widths) if starts_at_zero else None

    def forward(self, place: int, features: Tensor, view: View) -> Tensor:
        # 1x1 convolutions and resizing commute, so both run on the small map.
        query = self.to_query[place](self.adapt[place](view.map))
        query = sample_box(query, view.box, (features.shape[-2], features.shape[-1]))
        mix = self.attention(place, query, self.to_key[place](features)).to(features.dtype)
        heads = self._heads(place, features)
        mixed = (heads @ mix.transpose(-2, -1)).transpose(1, 2).flatten(2)  # [B, HW, C]
        if self.gain is not None:
            mixed = mixed * self.gain[place]
        return features + mixed.unflatten(1, features.shape[2:]).movedim(-1, 1)

    def attention(self, place: int, query: Tensor, key: Tensor) -> Tensor:
        """How much of each channel goes into each channel: [B, C, H, W] twice -> [B, h, C/h, C/h]."""
        query, key = self._heads(place, query.to(key.dtype)), self._heads(place, key)
        product = (query.transpose(-2, -1) @ key).float()
        scale = (_norm(query)[..., :, None] * _norm(key)[..., None, :]).clamp(min=1e-12)
        return (product / scale * self.temperature[place]).softmax(dim=-1)

    def _heads(self, place: int, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, h, HW, C/h], a view of channels-last memory."""
        return x.permute(0, 2, 3, 1).flatten(1, 2).unflatten(-1, (self.heads[place], -1)).transpose(1, 2)


def _norm(x: Tensor) -> Tensor:
    """Length of each channel over the pixels: [B, h, HW, c] -> [B, h, c]."""
    return torch.linalg.vector_norm(x, dim=-2, dtype=torch.float32)
