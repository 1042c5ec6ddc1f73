"""Give images sides that a network can work with, and take the border away again."""

import torch.nn.functional as F
from torch import Tensor

__all__ = ["crop_to", "pad_to_multiple"]


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Grow an image at the bottom and the right until both sides divide by a number.

    The border mirrors the image. A side too short to be mirrored that far repeats its last pixel.

    Shape:
        [..., C, H, W], 3 or 4 dimensions, any H and W from 1 -> the same with larger H and W.

    Example:
        >>> import torch
        >>> pad_to_multiple(torch.rand(1, 3, 5, 16), 8).shape
        torch.Size([1, 3, 8, 16])
    """
    height, width = image.shape[-2:]
    below, beside = -height % multiple, -width % multiple
    if below:
        image = F.pad(image, (0, 0, 0, below), mode="reflect" if below < height else "replicate")
    if beside:
        image = F.pad(image, (0, beside, 0, 0), mode="reflect" if beside < width else "replicate")
    return image


def crop_to(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Keep the top left `size`, height and width: undoes `pad_to_multiple`."""
    return image[..., : size[0], : size[1]]
