"""Steer a network by adding the prior's map to its features."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dino_ir.contracts import LevelFusion, Place, View
from dino_ir.ops.resample import sample_box

__all__ = ["AdaptAndAdd"]


class AdaptAndAdd(LevelFusion):
    """Add the adapted map at every place: the simplest alternative to equation 5 of DINO-IR.

    The adapting convolutions start at zero, so training starts from the unguided network.
    """

    def __init__(self, channels: int, places: Sequence[Place]) -> None:
        super().__init__()
        self.adapt = nn.ModuleList(nn.Conv2d(channels, place.channels, 1) for place in places)
        with torch.no_grad():
            for parameter in self.adapt.parameters():
                parameter.zero_()

    def forward(self, place: int, features: Tensor, view: View) -> Tensor:
        adapted = self.adapt[place](view.map)
        adapted = adapted.repeat_interleave(len(features) // len(adapted), dim=0)
        adapted = sample_box(adapted, view.box, (features.shape[-2], features.shape[-1]))
        return features + adapted.to(features.dtype)
