"""Attention across channels: cost grows with the number of pixels, not with its square."""

import torch
from torch import Tensor, nn

from dino_ir.pools import Pooled

__all__ = ["ChannelAttention"]

_SMALLEST_SQUARE = 1e-24  # of a norm of 1e-12, where torch.nn.functional.normalize stops too


class ChannelAttention(nn.Module):
    r"""Self-attention in which channels, not pixels, attend to each other.

    Each head builds a C/h x C/h map from L2-normalised queries and keys, so memory does not grow
    with the square of the image area. Restormer calls this MDTA (Zamir et al., CVPR 2022, Eq. 1):

    .. math:: \hat{X} = W_p \, V \cdot \mathrm{softmax}(K Q / \alpha) + X

    The residual and the normalisation of X are the caller's. Fast where X is in memory format
    channels_last: tokens are then a view, and no pass over the pixels writes normalised ones.

    Args:
        channels: C, a multiple of `heads`.
        heads: h, number of independent channel groups.

    Shape:
        [B, C, H, W] -> [B, C, H, W], any H and W.

    Raises:
        ValueError: `channels` is not a multiple of `heads`.

    Example:
        >>> ChannelAttention(channels=8, heads=2)(torch.rand(1, 8, 5, 7)).shape
        torch.Size([1, 8, 5, 7])
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"{channels} channels do not split into {heads} heads")
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))  # 1 / alpha in Eq. 1
        self.to_qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.blend = nn.Conv2d(3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=False)
        self.project = nn.Conv2d(channels, channels, 1, bias=False)
        self.pooled = Pooled()

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.blend(self.to_qkv(x)).permute(0, 2, 3, 1).flatten(1, 2)  # [B, HW, 3C]
        q, k, v = tokens.chunk(3, dim=2)
        mixing = self._projected(self._attention(q, k).to(v.dtype))
        return torch.bmm(v, mixing).transpose(1, 2).unflatten(2, x.shape[2:])

    def _attention(self, q: Tensor, k: Tensor) -> Tensor:
        """[B, h, C/h, C/h], float32: the cosines between channels, then softmax."""
        q, k = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in (q, k))  # [B, h, HW, C/h]
        q_scale, k_scale = (
            self.pooled(part.square().sum(dim=2, dtype=torch.float32)).clamp(min=_SMALLEST_SQUARE).rsqrt()
            for part in (q, k)
        )
        products = self.pooled(q.transpose(2, 3) @ k)
        cosines = products * q_scale[..., :, None] * k_scale[..., None, :]
        return (cosines * self.temperature).softmax(dim=-1)

    def _projected(self, attention: Tensor) -> Tensor:
        """Attention and output projection as one matrix for row vectors: [B, C, C]."""
        projection = self.project.weight.flatten(1).t().unflatten(0, (self.heads, -1))  # [h, C/h, C]
        return (attention.transpose(2, 3) @ projection).flatten(1, 2)
