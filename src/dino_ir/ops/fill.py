"""Fill what is not known of an image from what surrounds it."""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["fill"]


def fill(image: Tensor, known: Tensor) -> Tensor:
    """Fill unknown pixels smoothly from the known ones around them; what is known stays as it is.

    Each hole takes its values from the finest half-sized copy, of averages over what is known,
    in which it has closed. If nothing is known, nothing changes.

    Shape:
        [C, H, W] and [1, H, W], which is true where the image is known -> [C, H, W]
    """
    if known.all() or not known.any():
        return image
    share = _halve(known.float())
    smaller = fill(_halve(image * known) / share.clamp(min=1e-12), share > 0)
    larger = F.interpolate(smaller[None], size=image.shape[-2:], mode="bilinear")[0]
    return torch.where(known, image, larger)


def _halve(image: Tensor) -> Tensor:
    """Means over 2 x 2 pixels, and over those there are where a side is odd."""
    return F.avg_pool2d(image[None], 2, ceil_mode=True, count_include_pad=False)[0]
