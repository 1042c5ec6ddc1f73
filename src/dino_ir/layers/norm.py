"""Layer normalisation for feature maps."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["ChannelNorm"]


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each pixel: [B, C, H, W] -> the same shape.

    Without `bias` the mean is not removed either, so zero noise stays zero noise; this is the
    "bias-free" norm of blind denoisers (Mohan et al., ICLR 2020, arXiv 1906.05478). Sums are float32 also
    where the features are bfloat16.

    Args:
        channels: C.
        bias: whether the mean is removed and a learned one added.
        eps: added to the variance.
    """

    def __init__(self, channels: int, bias: bool = True, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_exporting():
            return self._over_planes(x)
        # In memory format channels_last this is a view, and torch has a fused kernel for its last axis.
        pixels = x.permute(0, 2, 3, 1)
        if self.bias is not None:
            pixels = F.layer_norm(pixels, self.weight.shape, self.weight, self.bias, self.eps)
        else:
            # Tensor.var gives the same, many times slower.
            wide = pixels.to(torch.promote_types(x.dtype, torch.float32))
            centred = wide - wide.mean(dim=-1, keepdim=True)
            scale = (centred.square().mean(dim=-1, keepdim=True) + self.eps).rsqrt()
            pixels = pixels * scale.to(x.dtype) * self.weight.to(x.dtype)
        return pixels.permute(0, 3, 1, 2)

    def _over_planes(self, x: Tensor) -> Tensor:
        """The same for programs that keep channels in planes or blocks; in OpenVINO 1.8 times as fast."""
        centred = x - x.mean(dim=1, keepdim=True)
        scale = (centred.square().mean(dim=1, keepdim=True) + self.eps).rsqrt()
        weight = self.weight.view(-1, 1, 1)
        return (
            x * scale * weight if self.bias is None else centred * scale * weight + self.bias.view(-1, 1, 1)
        )
