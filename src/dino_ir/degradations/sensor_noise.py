"""Noise as a camera's files have it: stronger in the light, and smeared by the camera's processing."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dino_ir.contracts import Parameters
from dino_ir.ops.color import round_to_8_bits
from dino_ir.ops.kernels import convolve, gaussian
from dino_ir.ops.random import draw_seed, normal
from dino_ir.ops.ranges import between, span

__all__ = ["SensorNoise"]

_SIZE = 7  # of the kernel that smears: three standard deviations of the widest grain to either side


@dataclass(frozen=True)
class SensorNoise:
    r"""Add noise that grows with the light (Foi et al., 2008) and is alike in neighbouring pixels.

    .. math:: y = x + \sqrt{x s^2 + r^2}\, n

    n is normal, of variance 1, smoothed by a Gaussian: demosaicing and a camera's own denoising leave grain
    that is wider than a pixel.

    Attributes:
        shot: s, the standard deviation where the image is white, on the 0-255 scale; a pair [low, high]
            is a uniform range.
        read: r, that where it is black, likewise.
        grain: standard deviation in pixels of what smooths n, likewise; 0 leaves it white.
        rounded: round to 8 bits as image files do, after the clipping to [0, 1].

    Raises:
        ValueError: a negative number, a range given high to low, or a grain beyond 1.
    """

    shot: float | Sequence[float] = (0, 12)
    read: float | Sequence[float] = (1, 6)
    grain: float | Sequence[float] = (0, 1)
    rounded: bool = True

    def __post_init__(self) -> None:
        for name, most in (("shot", float("inf")), ("read", float("inf")), ("grain", 1.0)):
            low, high = span(getattr(self, name))
            if not 0 <= low <= high <= most:
                raise ValueError(
                    f"{name} is a number or a pair [low, high] from 0 to {most}, got [{low}, {high}]"
                )

    def draw(self, rng: torch.Generator) -> Parameters:
        ranges = {"shot": self.shot, "read": self.read, "grain": self.grain}
        return {name: between(span(ends), rng) for name, ends in ranges.items()} | {"seed": draw_seed(rng)}

    def apply(self, images: Tensor, parameters: Sequence[Parameters], depth: Tensor | None = None) -> Tensor:
        white = normal([each["seed"] for each in parameters], images.shape[1:], images.device)
        noise = torch.stack([_smear(field, each["grain"]) for field, each in zip(white, parameters)])
        shot, read = (
            images.new_tensor([each[name] / 255 for each in parameters])[:, None, None, None]
            for name in ("shot", "read")
        )
        noisy = images + (images * shot.square() + read.square()).sqrt() * noise
        return round_to_8_bits(noisy) if self.rounded else noisy.clamp_(0, 1)


def _smear(noise: Tensor, grain: float) -> Tensor:
    """Smooth a field [C, H, W] of variance 1 and bring its variance back to 1."""
    if grain == 0:
        return noise
    kernel = gaussian(_SIZE, grain)
    kernel = kernel / kernel.square().sum().sqrt()
    return convolve(convolve(noise, kernel[:, None]), kernel[None, :])
