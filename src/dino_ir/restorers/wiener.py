"""Wiener's filter against a known Gaussian blur, the classic of deblurring."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from dino_ir.contracts import Restorer, Truth, View
from dino_ir.degradations.gaussian_blur import GaussianBlur
from dino_ir.degradations.gaussian_noise import GaussianNoise
from dino_ir.errors import RecipeError
from dino_ir.ops.kernels import gaussian

__all__ = ["Wiener"]

_ROUNDING = 1 / 12
"""Variance of what rounding to 8 bits adds, on the 0-255 scale."""


class Wiener(Restorer):
    r"""Undo a Gaussian blur that is known, with the least squared error that a linear filter can have.

    .. math:: \hat{X} = \frac{H}{H^2 + N f^2 / S} Y

    with H what the blur does to the frequency f, in cycles per pixel, N the variance of the noise and S / f^2
    the power of a photo (Field, Journal of the Optical Society of America A, 1987). Wiener, Extrapolation,
    Interpolation, and Smoothing of Stationary Time Series, 1949. Beyond its border the photo is mirrored, as
    in `degradations/gaussian_blur`, so that nothing rings there.

    Args:
        sigma: of the blur, in pixels. None: it must be told, and the noise's sigma with it.
        size: side of the blur's kernel, in pixels; told too.
        noise: sigma of noise that was added, on the 0-255 scale; rounding to 8 bits is always counted in.
        signal: S. The default scored best on training photos, blurred, with noise of sigma 5 and without.

    Shape:
        [B, 3, H, W] -> [B, 3, H, W], any H and W.

    Raises:
        ValueError: an option beyond its range.
        RecipeError: sigma is neither given nor told.
    """

    multiple_of = 1
    works_in_tiles = False

    def __init__(
        self, sigma: float | None = None, size: int = 15, noise: float = 0, signal: float = 2e-4
    ) -> None:
        super().__init__()
        if sigma is not None and not sigma > 0:
            raise ValueError(f"sigma is a number above 0, got {sigma}")
        if size < 1 or size % 2 == 0:
            raise ValueError(f"size is an odd number of pixels, got {size}")
        if not noise >= 0 or not signal > 0:
            raise ValueError(f"noise is a number from 0 and signal one above 0, got {noise} and {signal}")
        self.sigma, self.size, self.noise, self.signal = sigma, size, noise, signal

    def told(self, truth: Truth) -> Restorer:
        if self.sigma is not None:
            return self
        size, sigma, noise = self.size, None, self.noise
        for degradation, parameters in truth.damage:
            if isinstance(degradation, GaussianBlur):
                size, sigma = degradation.size, parameters["sigma"]
            if isinstance(degradation, GaussianNoise):
                noise = parameters["sigma"]
        return self if sigma is None else Wiener(sigma, size, noise, self.signal)

    def forward(self, degraded: Tensor, view: View | None = None) -> Tensor:
        if self.sigma is None:
            raise RecipeError(
                'wiener must know the blur: use it where gaussian_blur is, or as {name="wiener", sigma=2.5}'
            )
        height, width = degraded.shape[-2:]
        # A whole period of the mirrored photo: a symmetric blur of it is a product of its spectrum, exactly.
        beyond = (0, max(0, width - 2), 0, max(0, height - 2))
        mirrored = F.pad(degraded.double(), beyond, mode="reflect")
        rows, columns = mirrored.shape[-2:]
        down = torch.fft.fftfreq(rows, dtype=torch.double, device=degraded.device)[:, None]
        across = torch.fft.rfftfreq(columns, dtype=torch.double, device=degraded.device)
        kernel = gaussian(self.size, self.sigma).to(down)
        blur = _response(kernel, down) * _response(kernel, across)
        variance = (self.noise**2 + _ROUNDING) / 255**2
        undo = blur / (blur**2 + variance * (down**2 + across**2) / self.signal)
        restored = torch.fft.irfft2(torch.fft.rfft2(mirrored) * undo, s=(rows, columns))
        return restored[..., :height, :width].to(degraded)


def _response(kernel: Tensor, frequencies: Tensor) -> Tensor:
    """By what a symmetric kernel, [size], multiplies each frequency, in cycles per pixel; the shape stays."""
    offsets = torch.arange(len(kernel)).to(kernel) - len(kernel) // 2
    return (torch.cos(2 * math.pi * frequencies[..., None] * offsets) * kernel).sum(dim=-1)
