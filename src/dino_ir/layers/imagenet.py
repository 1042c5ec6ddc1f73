"""The range of colours that networks taught on ImageNet expect."""

import torch
from torch import Tensor

__all__ = ["normalise"]

_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


def normalise(image: Tensor) -> Tensor:
    """Less ImageNet's mean colour, over its deviation: [..., 3, H, W] -> the same shape."""
    # Plain numbers, not buffers: a prior built on the meta device would lose those when it is filled.
    channels = zip(image.unbind(-3), _MEAN, _DEVIATION)
    return torch.stack([(x - mean) / deviation for x, mean, deviation in channels], dim=-3)
