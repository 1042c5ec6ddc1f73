"""Blur kernels, and the convolution of each image with its own."""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["convolve", "convolve_around", "gaussian", "line"]


def gaussian(size: int, sigma: float) -> Tensor:
    """Samples of a Gaussian that add up to 1, [size]; both in pixels."""
    x = torch.arange(size) - (size - 1) / 2
    weights = torch.exp(-0.5 * (x / sigma) ** 2)
    return weights / weights.sum()


def line(length: float, width: float, angle: float) -> Tensor:
    """A soft line segment, as a moving drop leaves it: 1 along its middle, falling off at its rim.

    Args:
        length: in pixels; each end fades over a quarter of it.
        width: standard deviation across the line, in pixels.
        angle: from upright, in radians; positive leans to the right at the top.

    Returns:
        [size, size], with an odd size that holds the line.
    """
    reach = int(length / 2 + 2 * width) + 1
    axis = torch.arange(-reach, reach + 1.0)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    direction = torch.tensor(angle)
    along = y * direction.cos() - x * direction.sin()
    across = y * direction.sin() + x * direction.cos()
    fade = ((length / 2 - along.abs()) / (length / 4)).clamp(0, 1)
    return fade * torch.exp(-0.5 * (across / width) ** 2)


def convolve(image: Tensor, kernel: Tensor) -> Tensor:
    """Convolve every channel with one kernel; beyond the border the image is mirrored.

    Args:
        image: [C, H, W].
        kernel: [h, w], odd sides; beyond what can be mirrored, the edge goes on.
    """
    down, right = (side // 2 for side in kernel.shape)
    mode = "reflect" if down < image.shape[-2] and right < image.shape[-1] else "replicate"
    padded = F.pad(image[None], (right, right, down, down), mode)[0]
    weight = kernel.flip(0, 1).to(image)[None, None]
    return F.conv2d(padded[:, None], weight)[:, 0]


def convolve_around(image: Tensor, kernel: Tensor) -> Tensor:
    """Convolve one channel with a large kernel, by Fourier transforms; the image's borders wrap around.

    Args:
        image: [H, W].
        kernel: [h, w], odd sides; what is larger than the image wraps around too.
    """
    height, width = image.shape
    down, right = (side // 2 for side in kernel.shape)
    y = (torch.arange(-down, down + 1) % height)[:, None].expand(kernel.shape)
    x = (torch.arange(-right, right + 1) % width).expand(kernel.shape)
    around = torch.zeros(height, width).index_put_((y, x), kernel, accumulate=True).to(image.device)
    spectrum = torch.fft.rfft2(image) * torch.fft.rfft2(around)
    return torch.fft.irfft2(spectrum, s=(height, width))
