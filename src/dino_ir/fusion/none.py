"""No steering: the ablation that keeps the loss in the prior's space but not its guidance."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from dino_ir.contracts import LevelFusion, Place, View

__all__ = ["NoFusion"]


class NoFusion(LevelFusion):
    """Leave the network's features as they are; the prior then runs in the loss alone."""

    needs_map: ClassVar[bool] = False

    def __init__(self, channels: int, places: Sequence[Place]) -> None:
        super().__init__()

    def forward(self, place: int, features: Tensor, view: View) -> Tensor:
        return features
