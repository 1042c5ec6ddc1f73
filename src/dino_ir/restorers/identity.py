"""The restorer that restores nothing."""

from torch import Tensor

from dino_ir.contracts import Restorer, View

__all__ = ["Identity"]


class Identity(Restorer):
    """Give the degraded image back: the score every restorer must beat.

    It has no weights and cannot be trained.

    Shape:
        [B, 3, H, W] -> [B, 3, H, W], any H and W.
    """

    multiple_of = 1

    def forward(self, degraded: Tensor, view: View | None = None) -> Tensor:
        return degraded
