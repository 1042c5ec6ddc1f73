"""A photo and its mirror image, restored and averaged."""

import torch
from torch import Tensor

from dino_ir.contracts import Restorer, View

__all__ = ["Mirrored"]


class Mirrored(Restorer):
    """Restores each piece as it is and mirrored, left to right, and takes the mean: twice the work.

    What a network gets wrong in one it often gets right in the other, so the mean is a little nearer to the
    truth. Photos are not turned upside down: where rain falls and haze lies is part of what was learned.

    Args:
        restorer: in eval mode; of weights, for what a classic is told of an image is not true of its mirror
            image.

    Source: Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution", CVPR workshops
    2017 (geometric self-ensemble, of which this is the mirror alone).
    """

    def __init__(self, restorer: Restorer) -> None:
        super().__init__()
        self.restorer, self.multiple_of, self.tile_side = restorer, restorer.multiple_of, restorer.tile_side

    def forget(self) -> None:
        self.restorer.forget()

    def look(self, photo: Tensor) -> Tensor | None:
        return self.restorer.look(photo)

    def forward(self, degraded: Tensor, view: View | None = None) -> Tensor:
        both = torch.cat([degraded, degraded.flip(-1)])
        if view is not None:  # a mirrored piece reads the same map from right to left
            view = View(view.map.repeat(2, 1, 1, 1), torch.cat([view.box, view.box[:, [0, 3, 2, 1]]]))
        restored, mirrored = self.restorer(both, view).chunk(2)
        return (restored + mirrored.flip(-1)) / 2
