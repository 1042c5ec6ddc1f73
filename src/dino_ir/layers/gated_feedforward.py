"""The feed-forward half of a Restormer block."""

from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["GatedFeedForward"]


class GatedFeedForward(nn.Module):
    """One half of the hidden channels decides how much of the other half passes.

    Restormer calls this GDFN (Zamir et al., CVPR 2022, Eq. 2). The residual and the normalisation are the
    caller's.

    Args:
        channels: C.
        expansion: hidden channels of one half, relative to C, rounded down.

    Shape:
        [B, C, H, W] -> [B, C, H, W], any H and W.
    """

    def __init__(self, channels: int, expansion: float = 2.66) -> None:
        super().__init__()
        hidden = int(channels * expansion)
        self.widen = nn.Conv2d(channels, 2 * hidden, 1, bias=False)
        self.blend = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=False)
        self.narrow = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.blend(self.widen(x)).chunk(2, dim=1)
        return self.narrow(F.gelu(gate) * value)
