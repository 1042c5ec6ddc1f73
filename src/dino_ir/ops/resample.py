"""Change the size of images and feature maps."""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["resize", "sample_box", "size_of_area"]


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize a batch with an antialiased triangle filter, which neither rings nor leaves [0, 1].

    Args:
        image: [B, C, H, W].
        size: height and width to reach.
    """
    if image.shape[-2:] == size:
        return image
    return F.interpolate(image, size, mode="bilinear", antialias=True)


def size_of_area(height: int, width: int, side: int, multiple: int) -> tuple[int, int]:
    """The size of about side x side pixels that keeps the shape of height x width.

    Both sides are multiples of `multiple`, at least one of them. Very long images lose some of their
    shape: no side passes four times `side`.

    Example:
        >>> size_of_area(2000, 3000, side=224, multiple=16)
        (176, 272)
    """
    stretch = (height / width) ** 0.5
    sides = (min(max(side * factor, multiple), 4 * side) for factor in (stretch, 1 / stretch))
    rows, columns = (round(value / multiple) * multiple for value in sides)
    return rows, columns


def sample_box(maps: Tensor, box: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut a box out of each map and bring it to a size, bilinearly; beyond the map its edge goes on.

    With the box (0, 0, 1, 1) this is `F.interpolate(maps, size, mode="bilinear")`.

    Args:
        maps: [B, C, h, w].
        box: [B, 4]: top, left, bottom, right as fractions of the map.
        size: height and width to reach.

    Returns:
        [B, C, *size], in float32: positions in half precision would be off by whole pixels.
    """
    top, left, bottom, right = box.float().unbind(dim=1)
    rows, columns = _centres(top, bottom, size[0]), _centres(left, right, size[1])
    shape = (len(maps), *size)
    grid = torch.stack([columns[:, None, :].expand(shape), rows[:, :, None].expand(shape)], dim=-1)
    return F.grid_sample(maps.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)


def _centres(start: Tensor, end: Tensor, count: int) -> Tensor:
    """Centres of `count` equal cells between two fractions, in grid_sample's units of -1 to 1."""
    steps = (torch.arange(count, device=start.device) + 0.5) / count
    return 2 * (start[:, None] + (end - start)[:, None] * steps) - 1
