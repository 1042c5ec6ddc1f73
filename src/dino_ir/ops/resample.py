"""Change the size of images and feature maps."""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["box_weights", "resize", "sample_box", "size_of_area"]


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
        box: [B, 4]: top, left, bottom, right as fractions of the map; with right < left, mirrored.
        size: height and width to reach.

    Returns:
        [B, C, *size], in float32: positions in half precision would be off by whole pixels.
    """
    rows, columns = box_weights(box, size, (maps.shape[-2], maps.shape[-1]))
    return rows[:, None] @ maps.float() @ columns[:, None].transpose(-2, -1)


def box_weights(box: Tensor, size: tuple[int, int], grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The two matrices R and K for which `sample_box(map, box, size)` is R map K^T.

    Bilinear sampling is linear and separable; whoever has these can sample, or take sums over samples,
    without making the samples.

    Args:
        box: [B, 4], as in `sample_box`.
        size: H and W, how many samples.
        grid: h and w, the size of the map.

    Returns:
        [B, H, h] and [B, W, w], float32; each row sums to 1.
    """
    top, left, bottom, right = box.float().unbind(dim=1)
    return _weights(top, bottom, size[0], grid[0]), _weights(left, right, size[1], grid[1])


def _weights(start: Tensor, end: Tensor, count: int, cells: int) -> Tensor:
    steps = (torch.arange(count, device=start.device) + 0.5) / count
    places = (start[:, None] + (end - start)[:, None] * steps) * cells - 0.5
    distance = places.clamp(0, cells - 1)[..., None] - torch.arange(cells, device=start.device)
    return (1 - distance.abs()).clamp(min=0)
