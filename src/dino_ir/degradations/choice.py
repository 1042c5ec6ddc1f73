"""One of several degradations, drawn for each image."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dino_ir.contracts import Degradation, Parameters

__all__ = ["Choice"]


@dataclass(frozen=True)
class Choice:
    """Draw one degradation for each image, all alike or by weight.

    Attributes:
        degradations: to choose from.
        weights: how often each is drawn, relative to the others.

    Raises:
        ValueError: no degradation, or not one weight from 0 for each, or none above 0.
    """

    degradations: Sequence[Degradation]
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if not self.degradations:
            raise ValueError("choice needs at least one degradation")
        weights = self._weights
        if len(weights) != len(self.degradations) or not min(weights) >= 0 or not 0 < sum(weights) < math.inf:
            raise ValueError(
                f"choice needs one weight from 0 for each of its degradations, got {self.weights}"
            )

    @property
    def _weights(self) -> list[float]:
        given = [1] * len(self.degradations) if self.weights is None else self.weights
        return [float(weight) for weight in given]

    def draw(self, rng: torch.Generator) -> Parameters:
        number = int(torch.multinomial(torch.tensor(self._weights), 1, generator=rng))
        return {"choice": number, "part": self.degradations[number].draw(rng)}

    def apply(self, images: Tensor, parameters: Sequence[Parameters], depth: Tensor | None = None) -> Tensor:
        degraded = torch.empty_like(images)
        for number, degradation in enumerate(self.degradations):
            rows = [row for row, each in enumerate(parameters) if each["choice"] == number]
            if rows:
                parts = [parameters[row]["part"] for row in rows]
                degraded[rows] = degradation.apply(
                    images[rows], parts, None if depth is None else depth[rows]
                )
        return degraded
