"""Haze by the model of atmospheric scattering (Koschmieder, 1924)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dino_ir.contracts import Parameters
from dino_ir.ops.color import round_to_8_bits
from dino_ir.ops.random import draw_seed, uniform
from dino_ir.ops.ranges import between, span

__all__ = ["Haze"]


@dataclass(frozen=True)
class Haze:
    r"""Mix the scene with airlight, the more the farther it is.

    .. math:: I = J t + A (1 - t), \quad t = \exp(-\beta d)

    Where the depth d is not given, a plausible one is made: a slope that recedes towards the top, with
    smooth bumps.

    Attributes:
        beta: scattering for depths of about 0 to 1, as in RESIDE; a pair [low, high] is a uniform range.
        air: brightness of A, likewise.
        tint: how far A's channels are drawn up and down, before their mean is brought back to `air`.
        rounded: clip, and round to 8 bits as image files do.

    Raises:
        ValueError: negative numbers, a range given high to low, air or tint beyond 1.
    """

    beta: float | Sequence[float] = (0.5, 2.2)
    air: float | Sequence[float] = (0.7, 1.0)
    tint: float = 0.03
    rounded: bool = True

    def __post_init__(self) -> None:
        for name, (low, high), most in (("beta", span(self.beta), math.inf), ("air", span(self.air), 1.0)):
            if not 0 <= low <= high <= most:
                raise ValueError(
                    f"{name} is a number or a pair [low, high] from 0 to {most}, got [{low}, {high}]"
                )
        if not 0 <= self.tint <= 1:
            raise ValueError(f"tint is a number from 0 to 1, got {self.tint}")

    def draw(self, rng: torch.Generator) -> Parameters:
        beta, air = (between(span(ends), rng) for ends in (self.beta, self.air))
        tint = (2 * torch.rand(3, generator=rng) - 1) * self.tint
        return {
            "beta": beta,
            "air": [min(1.0, max(0.0, air + value)) for value in (tint - tint.mean()).tolist()],
            "near": between((0.0, 0.5), rng),
            "slope": between((-math.pi / 4, math.pi / 4), rng),
            "bumps": between((0.1, 0.6), rng),
            "seed": draw_seed(rng),
        }

    def apply(self, images: Tensor, parameters: Sequence[Parameters], depth: Tensor | None = None) -> Tensor:
        if depth is None:
            depth = torch.stack([_depth(each, images) for each in parameters])
        beta = images.new_tensor([each["beta"] for each in parameters])[:, None, None, None]
        air = images.new_tensor([each["air"] for each in parameters])[:, :, None, None]
        hazy = torch.lerp(air, images, torch.exp(-beta * depth))
        return round_to_8_bits(hazy) if self.rounded else hazy


def _depth(parameters: Parameters, images: Tensor) -> Tensor:
    """A scene's depth, [1, H, W], from `near` to 1."""
    height, width = images.shape[-2:]
    y = torch.linspace(1, 0, height, device=images.device)[:, None]
    x = torch.linspace(-0.5, 0.5, width, device=images.device)
    slope = y * math.cos(parameters["slope"]) + x * math.sin(parameters["slope"])
    coarse = uniform([parameters["seed"]], (1, 5, 5), images.device)
    bumps = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)[0]
    mixed = torch.lerp(slope[None], bumps, parameters["bumps"])
    low, high = mixed.aminmax()
    return parameters["near"] + (1 - parameters["near"]) * (mixed - low) / (high - low).clamp(min=1e-6)
