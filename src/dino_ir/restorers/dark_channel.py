"""The dark channel prior, the classic of dehazing."""

import torch
import torch.nn.functional as F
from torch import Tensor

from dino_ir.contracts import Restorer, View

__all__ = ["DarkChannel"]

_BRIGHTEST = 0.001  # of the pixels by their dark channel: where airlight is looked for
_NO_LIGHT = 1e-3  # airlight is never below this, so that a black photo divides by no zero


class DarkChannel(Restorer):
    r"""Take haze away, on the assumption that somewhere near each pixel a clean photo has a colour near 0.

    .. math:: t = 1 - \omega \min_{patch} \min_{rgb} I / A, \quad J = (I - A) / \max(t, t_0) + A

    He, Sun, Tang, Single Image Haze Removal Using Dark Channel Prior, CVPR 2009 and TPAMI 2011. The
    transmission t is brought to the edges of the photo by the guided filter, with the photo as guide, instead
    of by matting: He, Sun, Tang, Guided Image Filtering, ECCV 2010. The defaults are theirs but the radius:
    they show 20; 60 scored 0.5 dB more on training photos with known depth and haze.

    Args:
        patch: side of the neighbourhood, in pixels, odd.
        omega: how much of the haze is taken away.
        least: t_0, the smallest transmission.
        radius: of the guided filter's squares, in pixels; a side is 2 * radius + 1.
        smoothness: epsilon of the guided filter, a variance of colours in [0, 1].

    Shape:
        [B, 3, H, W] -> [B, 3, H, W], any H and W.

    Raises:
        ValueError: an option beyond its range.
    """

    multiple_of = 1
    works_in_tiles = False

    def __init__(
        self,
        patch: int = 15,
        omega: float = 0.95,
        least: float = 0.1,
        radius: int = 60,
        smoothness: float = 1e-3,
    ) -> None:
        super().__init__()
        if patch < 1 or patch % 2 == 0:
            raise ValueError(f"patch is an odd number of pixels, got {patch}")
        if not 0 <= omega <= 1 or not 0 < least <= 1:
            raise ValueError(f"omega is from 0 to 1 and least above 0 to 1, got {omega} and {least}")
        if radius < 0 or not smoothness > 0:
            raise ValueError(f"radius is from 0 and smoothness above 0, got {radius} and {smoothness}")
        self.patch, self.omega, self.least = patch, omega, least
        self.radius, self.smoothness = radius, smoothness

    def forward(self, degraded: Tensor, view: View | None = None) -> Tensor:
        air = _airlight(degraded, self._dark(degraded))
        rough = 1 - self.omega * self._dark(degraded / air)
        transmission = _refine(rough, degraded, self.radius, self.smoothness).clamp(min=self.least)
        return (degraded - air) / transmission + air

    def _dark(self, image: Tensor) -> Tensor:
        """The smallest value of any colour near each pixel, [B, 1, H, W]."""
        return -F.max_pool2d(-image.amin(dim=1, keepdim=True), self.patch, stride=1, padding=self.patch // 2)


def _airlight(image: Tensor, dark: Tensor) -> Tensor:
    """The brightest of the pixels with the brightest dark channel, [B, 3, 1, 1]."""
    pixels = image.flatten(2)
    most = dark.flatten(1).topk(max(1, int(_BRIGHTEST * pixels.shape[-1]))).indices  # [B, N]
    candidates = pixels.gather(2, most[:, None].expand(-1, 3, -1))
    brightest = candidates.sum(dim=1).argmax(dim=1)  # [B]
    air = candidates.gather(2, brightest[:, None, None].expand(-1, 3, 1))
    return air[..., None].clamp(min=_NO_LIGHT)


def _refine(rough: Tensor, guide: Tensor, radius: int, smoothness: float) -> Tensor:
    """The guided filter: near each pixel, the result is an affine function of the guide's colours.

    Shape:
        [B, 1, H, W] and [B, 3, H, W] -> [B, 1, H, W]
    """
    mean, mean_rough = _box(guide, radius), _box(rough, radius)
    squares = (guide[:, :, None] * guide[:, None]).flatten(1, 2)  # [B, 9, H, W]
    covariance = _box(squares, radius) - (mean[:, :, None] * mean[:, None]).flatten(1, 2)
    shared = _box(guide * rough, radius) - mean * mean_rough
    matrix = covariance.unflatten(1, (3, 3)).movedim((1, 2), (-2, -1))  # [B, H, W, 3, 3]
    matrix = matrix + smoothness * torch.eye(3).to(matrix)
    slope = torch.linalg.solve(matrix, shared.movedim(1, -1)).movedim(-1, 1)  # [B, 3, H, W]
    offset = mean_rough - (slope * mean).sum(dim=1, keepdim=True)
    return (_box(slope, radius) * guide).sum(dim=1, keepdim=True) + _box(offset, radius)


def _box(maps: Tensor, radius: int) -> Tensor:
    """Means over squares; at the border, over what of them lies inside."""
    side = 2 * radius + 1
    rows = F.avg_pool2d(maps, (side, 1), 1, (radius, 0), count_include_pad=False)
    return F.avg_pool2d(rows, (1, side), 1, (0, radius), count_include_pad=False)
