"""Isotropic Gaussian blur, the deblurring task of DINO-IR."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dino_ir.contracts import Parameters
from dino_ir.ops.color import round_to_8_bits
from dino_ir.ops.kernels import convolve, gaussian
from dino_ir.ops.ranges import between

__all__ = ["GaussianBlur"]


@dataclass(frozen=True)
class GaussianBlur:
    """Convolve with a Gaussian kernel cut off at a size.

    The defaults are the paper's: 15 pixels, sigma drawn from 2.0 to 3.1 for each image.

    Attributes:
        sigma: standard deviation in pixels; a pair [low, high] is a uniform range.
        size: side of the kernel in pixels, odd.
        rounded: clip, and round to 8 bits as image files do.

    Raises:
        ValueError: a sigma that is not above 0, a range given high to low, or an even size.
    """

    sigma: float | Sequence[float] = (2.0, 3.1)
    size: int = 15
    rounded: bool = True

    def __post_init__(self) -> None:
        span = self.sigma if isinstance(self.sigma, Sequence) else (self.sigma, self.sigma)
        if len(span) != 2 or not 0 < span[0] <= span[1]:
            raise ValueError(f"sigma is a number above 0 or a pair [low, high], got {self.sigma}")
        if self.size < 1 or self.size % 2 == 0:
            raise ValueError(f"size is an odd number of pixels, got {self.size}")

    def draw(self, rng: torch.Generator) -> Parameters:
        if not isinstance(self.sigma, Sequence):
            return {"sigma": self.sigma}
        return {"sigma": between(self.sigma, rng)}

    def apply(self, images: Tensor, parameters: Sequence[Parameters], depth: Tensor | None = None) -> Tensor:
        kernels = [gaussian(self.size, each["sigma"]) for each in parameters]
        blurred = torch.stack(
            [convolve(convolve(image, k[:, None]), k[None, :]) for image, k in zip(images, kernels)]
        )
        return round_to_8_bits(blurred) if self.rounded else blurred
