"""No damage: the clean photos of a mix, so that a restorer learns to leave them alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dino_ir.contracts import Parameters

__all__ = ["Clear"]


@dataclass(frozen=True)
class Clear:
    """Leave every image as it is."""

    def draw(self, rng: torch.Generator) -> Parameters:
        return {}

    def apply(self, images: Tensor, parameters: Sequence[Parameters], depth: Tensor | None = None) -> Tensor:
        return images.clone()
