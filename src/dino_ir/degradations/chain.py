"""Several degradations, one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dino_ir.contracts import Degradation, Parameters

__all__ = ["Chain"]


@dataclass(frozen=True)
class Chain:
    """Apply each degradation to the result of the one before.

    Raises:
        ValueError: no degradation.
    """

    degradations: Sequence[Degradation]

    def __post_init__(self) -> None:
        if not self.degradations:
            raise ValueError("chain needs at least one degradation")

    def draw(self, rng: torch.Generator) -> Parameters:
        return {"parts": [degradation.draw(rng) for degradation in self.degradations]}

    def apply(self, images: Tensor, parameters: Sequence[Parameters], depth: Tensor | None = None) -> Tensor:
        for number, degradation in enumerate(self.degradations):
            images = degradation.apply(images, [each["parts"][number] for each in parameters], depth)
        return images
