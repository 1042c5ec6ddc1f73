"""The best that one change of colours can do for a photo: a bound on all restorers that do no more."""

import torch
from torch import Tensor

from dino_ir.contracts import Restorer, Truth, View
from dino_ir.errors import DinoIRError

__all__ = ["ColorFit"]


class ColorFit(Restorer):
    """Map the colours of a photo onto the clean one's by the best affine transform, which must be told.

    A 3 x 4 matrix per photo, by least squares over all pixels. No real restorer can know it: what scores
    below it has done less than a change of colours could.

    Shape:
        [B, 3, H, W] -> [B, 3, H, W], of the size of the clean photo.

    Raises:
        DinoIRError: nobody has told the clean photo.
    """

    multiple_of = 1
    works_in_tiles = False

    def __init__(self) -> None:
        super().__init__()
        self._clean: Tensor | None = None

    def told(self, truth: Truth) -> Restorer:
        told = ColorFit()
        told._clean = truth.clean
        return told

    def forward(self, degraded: Tensor, view: View | None = None) -> Tensor:
        if self._clean is None:
            raise DinoIRError("color_fit must be told the clean photo: use it on a benchmark only")
        colors = degraded.double().flatten(2)
        colors = torch.cat([colors, torch.ones_like(colors[:, :1])], dim=1)  # [B, 4, N]
        clean = self._clean.to(colors).flatten(1)
        # Normal equations in doubles: exact enough, and the pseudo-inverse allows for photos of few colours.
        transform = clean @ colors.mT @ torch.linalg.pinv(colors @ colors.mT, hermitian=True)  # [B, 3, 4]
        return (transform @ colors).view_as(degraded).to(degraded)
