"""What the classics of denoising share: they must know how much noise there is."""

from typing import Self

from torch import Tensor

from dino_ir.contracts import Restorer, Truth, View
from dino_ir.degradations.gaussian_noise import GaussianNoise
from dino_ir.ops.noise import estimate_sigma
from dino_ir.ops.pad import crop_to, pad_to_multiple

__all__ = ["Denoiser"]

_LEAST = 16
"""Smaller photos are mirrored to this side: patches and wavelets need some pixels, and bm3d's package ends
the whole process on photos of less than two of its blocks."""


class Denoiser(Restorer):
    """Denoise each photo as a whole, knowing or estimating the noise's sigma.

    Args:
        sigma: of the noise, on the 0-255 scale. None: as told; where the benchmark adds no Gaussian noise,
            it is estimated by `ops.noise.estimate_sigma`.
        told: False: no benchmark tells it the sigma, so that it is as blind as other restorers.

    Shape:
        [B, 3, H, W] -> [B, 3, H, W], any H and W.

    Raises:
        ValueError: a negative sigma.
        DinoIRError: the package that it needs is missing.
    """

    multiple_of = 1
    works_in_tiles = False

    def __init__(self, sigma: float | None = None, told: bool = True) -> None:
        super().__init__()
        if sigma is not None and not sigma >= 0:
            raise ValueError(f"sigma is a number from 0, got {sigma}")
        self.sigma, self.may_be_told = sigma, told

    def told(self, truth: Truth) -> Self:
        sigmas = [each["sigma"] for part, each in truth.damage if isinstance(part, GaussianNoise)]
        return type(self)(sigmas[-1]) if sigmas and self.sigma is None and self.may_be_told else self

    def forward(self, degraded: Tensor, view: View | None = None) -> Tensor:
        size = (degraded.shape[-2], degraded.shape[-1])
        restored = pad_to_multiple(degraded, _LEAST) if min(size) < _LEAST else degraded.clone()
        for image in restored:
            sigma = estimate_sigma(image) if self.sigma is None else self.sigma / 255
            if sigma > 0:
                image.copy_(self.denoise(image, sigma))
        return crop_to(restored, size)

    def denoise(self, image: Tensor, sigma: float) -> Tensor:
        """[3, H, W] in [0, 1] -> the same, both sides 16 pixels at least; sigma is that of such values."""
        raise NotImplementedError  # each classic has its own way
