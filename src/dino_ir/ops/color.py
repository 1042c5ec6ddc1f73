"""Colours of images: types of number, luma, and light."""

import torch
from torch import Tensor

__all__ = ["luma", "matlab_luma", "round_to_8_bits", "to_float", "to_linear", "to_srgb"]

_WEIGHTS = (0.299, 0.587, 0.114)  # BT.601
_MATLAB_WEIGHTS = (65.481, 128.553, 24.966)  # the same, times 219: 8-bit luma runs from 16 to 235


def to_float(image: Tensor) -> Tensor:
    """Bring uint8 to floats in [0, 1]; floats stay as they are."""
    return image if image.is_floating_point() else image.float() / 255


def round_to_8_bits(image: Tensor) -> Tensor:
    """Clip to [0, 1] and round to the 256 values a file of 8 bits can hold; the type stays."""
    return (image.clamp(0, 1) * 255).round() / 255


def luma(image: Tensor) -> Tensor:
    """Weigh red, green and blue by BT.601: black is 0, white is 1.

    Shape:
        [..., 3, H, W] -> [..., 1, H, W]
    """
    return _weigh(image, _WEIGHTS)


def matlab_luma(image: Tensor) -> Tensor:
    """The Y of MATLAB's rgb2ycbcr, on which papers on rain report: black is 16 / 255, white 235 / 255.

    Shape:
        [..., 3, H, W] -> [..., 1, H, W]
    """
    return (_weigh(image, _MATLAB_WEIGHTS) + 16) / 255


def to_linear(image: Tensor) -> Tensor:
    """Turn sRGB values in [0, 1] into amounts of light, by IEC 61966-2-1."""
    return torch.where(image <= 0.04045, image / 12.92, ((image.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4)


def to_srgb(light: Tensor) -> Tensor:
    """Turn amounts of light in [0, 1] into sRGB values; undoes `to_linear`."""
    bright = 1.055 * light.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(light <= 0.0031308, light * 12.92, bright)


def _weigh(image: Tensor, weights: tuple[float, float, float]) -> Tensor:
    return (image * image.new_tensor(weights)[:, None, None]).sum(dim=-3, keepdim=True)
