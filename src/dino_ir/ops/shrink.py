"""Shrink an image that is read from top to bottom, without ever holding it."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["shrink", "size_within"]


def size_within(size: tuple[int, int], pixels: int) -> tuple[int, int]:
    """The largest size of the same shape, height and width, that has about so many pixels at most.

    Example:
        >>> size_within((3000, 4000), pixels=1_000_000)
        (866, 1155)
    """
    share = min(1.0, (pixels / (size[0] * size[1])) ** 0.5)
    height, width = (max(1, round(side * share)) for side in size)
    return height, width


def shrink(strips: Iterable[tuple[int, Tensor]], height: int, size: tuple[int, int]) -> Tensor:
    """What `ops.resample.resize` makes of the whole, up to rounding.

    Args:
        strips: the top of some rows, and those rows, [B, C, h, W]; each row of the image once.
        height: of the image.
        size: height and width to reach, neither larger than the image's.

    Returns:
        [B, C, *size]
    """
    small, total = torch.zeros(()), torch.zeros(size[0], 1)
    for top, strip in strips:
        narrow = F.interpolate(strip, (strip.shape[-2], size[1]), mode="bilinear", antialias=True)
        weights = _weights(top, strip.shape[-2], height, size[0])
        small = small + weights @ narrow
        total += weights.sum(dim=1, keepdim=True)
    return small / total


def _weights(top: int, count: int, height: int, rows: int) -> Tensor:
    """How much each of some rows of an image counts in each row of the small one, [rows, count].

    A triangle, which spans a small row to both sides.
    """
    places = (torch.arange(top, top + count, dtype=torch.float64) + 0.5) * rows / height
    centres = torch.arange(rows, dtype=torch.float64)[:, None] + 0.5
    return (1 - (places - centres).abs()).clamp(min=0).float()
