"""Rain: layers of bright streaks in front of the scene, and a veil of the drops too far to be seen."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from dino_ir.contracts import Parameters
from dino_ir.ops.color import round_to_8_bits
from dino_ir.ops.kernels import convolve_around, line
from dino_ir.ops.random import draw_seed, uniform
from dino_ir.ops.ranges import between

__all__ = ["Rain"]


class _Strength(NamedTuple):
    """Ranges that a kind of rain is drawn from."""

    layers: tuple[int, int]
    cover: tuple[float, float]  # share of the picture that one layer's streaks cover
    opacity: tuple[float, float]
    length: tuple[float, float]  # pixels
    width: tuple[float, float]  # standard deviation across, pixels
    spread: float  # how far the layers' angles differ, radians
    veil: tuple[float, float]
    adds: float = 0.5  # how often the streaks' light adds to the scene's


_STRENGTHS = {
    "light": _Strength((1, 1), (0.02, 0.10), (0.25, 0.8), (8, 30), (0.5, 1.0), 0.05, (0.0, 0.04)),
    "medium": _Strength((1, 2), (0.08, 0.25), (0.3, 0.9), (10, 45), (0.5, 1.2), 0.15, (0.0, 0.1)),
    "heavy": _Strength((1, 4), (0.12, 0.42), (0.35, 1.0), (25, 110), (0.4, 1.5), 0.25, (0.0, 0.15)),
    # As Rain100H: its pairs' differences have these means, spreads and quantiles (bench/rain.py).
    "dense": _Strength((1, 3), (0.3, 0.7), (0.25, 0.65), (60, 160), (0.4, 0.8), 0.12, (0.0, 0.0), adds=1.0),
}
_DRAWN = ("light", "medium", "heavy")


@dataclass(frozen=True)
class Rain:
    """Draw streaks of several sizes, directions and densities over an image.

    Each layer is a scatter of drops, smeared along the way they fall while the shutter is open; drops
    of a layer share their direction and length and differ in brightness. For half of the images, and
    for all of "dense", the streaks' light adds to the scene's until it saturates, as in Rain100; for the
    others it covers the scene, as drops do.

    Attributes:
        strength: "light", "medium", "heavy" or "dense"; None draws one of the first three for each image.
        rounded: clip, and round to 8 bits as image files do.

    Raises:
        ValueError: an unknown strength.
    """

    strength: str | None = None
    rounded: bool = True

    def __post_init__(self) -> None:
        if self.strength is not None and self.strength not in _STRENGTHS:
            raise ValueError(f"strength is one of {', '.join(_STRENGTHS)}, got {self.strength!r}")

    def draw(self, rng: torch.Generator) -> Parameters:
        drawn = _DRAWN[int(torch.randint(len(_DRAWN), (), generator=rng))]
        kind = _STRENGTHS[self.strength or drawn]
        angle = between((-math.pi / 6, math.pi / 6), rng)
        count = int(torch.randint(kind.layers[0], kind.layers[1] + 1, (), generator=rng))
        return {
            "layers": [_draw_layer(kind, angle, rng) for _ in range(count)],
            "light": between((0.75, 1.0), rng),
            "veil": between(kind.veil, rng),
            "adds": bool(torch.rand((), generator=rng) < kind.adds),
        }

    def apply(self, images: Tensor, parameters: Sequence[Parameters], depth: Tensor | None = None) -> Tensor:
        rainy = torch.stack([_rain_on(image, each) for image, each in zip(images, parameters)])
        return round_to_8_bits(rainy) if self.rounded else rainy


def _draw_layer(kind: _Strength, angle: float, rng: torch.Generator) -> Parameters:
    length, width = between(kind.length, rng), between(kind.width, rng)
    width = min(width, length / 16)  # thicker would be rods
    cover = between(kind.cover, rng)
    return {
        "length": length,
        "width": width,
        "angle": angle + between((-kind.spread, kind.spread), rng),
        # Streaks that fall at random leave exp(-drops x area) of the picture free.
        "drops": -math.log(1 - cover) / (length * 2 * width),
        "opacity": between(kind.opacity, rng),
        "seed": draw_seed(rng),
    }


def _rain_on(image: Tensor, parameters: Parameters) -> Tensor:
    free = torch.ones_like(image[:1])
    for layer in parameters["layers"]:
        free = free * (1 - layer["opacity"] * _streaks(layer, image))
    light, veil = parameters["light"], parameters["veil"]
    veiled = image * (1 - veil) + 0.8 * light * veil
    if parameters["adds"]:
        return (veiled + light * (1 - free)).clamp(max=1)
    return veiled * free + light * (1 - free)


def _streaks(layer: Parameters, image: Tensor) -> Tensor:
    """How much of each pixel a layer's streaks cover, [1, H, W] in [0, 1]."""
    chance, brightness = uniform([layer["seed"]], (2, *image.shape[-2:]), image.device)[0]
    drops = (chance < layer["drops"]) * (0.3 + 0.7 * brightness)
    return convolve_around(drops, line(layer["length"], layer["width"], layer["angle"])).clamp(0, 1)[None]
