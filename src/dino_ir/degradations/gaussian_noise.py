"""Additive white Gaussian noise, the standard synthetic denoising task."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dino_ir.contracts import Parameters
from dino_ir.ops.color import round_to_8_bits
from dino_ir.ops.random import draw_seed, normal
from dino_ir.ops.ranges import between

__all__ = ["GaussianNoise"]


@dataclass(frozen=True)
class GaussianNoise:
    """Add noise of one strength, of a drawn strength, or of one out of a list.

    Attributes:
        sigma: standard deviation on the 0-255 scale papers use; a pair [low, high] is a uniform range.
        levels: take one of these sigmas instead.
        clipped: cut the result to [0, 1].
        rounded: clip, and round to 8 bits as image files do.

    Raises:
        ValueError: a negative sigma, a range given high to low or of more than two numbers, no levels.
    """

    sigma: float | Sequence[float] = 25
    levels: Sequence[float] | None = None
    clipped: bool = True
    rounded: bool = True

    def __post_init__(self) -> None:
        span = self.sigma if isinstance(self.sigma, Sequence) else (self.sigma, self.sigma)
        if len(span) != 2 or not 0 <= span[0] <= span[1]:
            raise ValueError(
                f"sigma is a number or a pair [low, high] from 0; a list goes to levels: {self.sigma}"
            )
        if self.levels is not None and not (self.levels and min(self.levels) >= 0):
            raise ValueError(f"levels are one or more sigmas from 0, got {self.levels}")

    def draw(self, rng: torch.Generator) -> Parameters:
        if self.levels is not None:
            sigma = self.levels[int(torch.randint(len(self.levels), (), generator=rng))]
        elif isinstance(self.sigma, Sequence):
            sigma = between(self.sigma, rng)
        else:
            sigma = self.sigma
        return {"sigma": sigma, "seed": draw_seed(rng)}

    def apply(self, images: Tensor, parameters: Sequence[Parameters], depth: Tensor | None = None) -> Tensor:
        noise = normal([each["seed"] for each in parameters], images.shape[1:], images.device)
        sigma = images.new_tensor([each["sigma"] / 255 for each in parameters])
        noisy = torch.addcmul(images, noise, sigma[:, None, None, None])
        if self.rounded:
            return round_to_8_bits(noisy)
        return noisy.clamp_(0, 1) if self.clipped else noisy
