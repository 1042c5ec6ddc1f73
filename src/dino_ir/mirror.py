"""A photo and its mirror image, restored and averaged."""

import torch
from torch import Tensor

from dino_ir.contracts import View
from dino_ir.wrapped import Wrapped

__all__ = ["Mirrored"]


class Mirrored(Wrapped):
    """Restores each piece as it is and mirrored, and takes the mean: twice the time and memory.

    What a network gets wrong in one it often gets right in the other, so the mean is a little nearer to the
    truth. Left becomes right; nothing is turned upside down: rain, as we make it, falls, and haze lies on the
    horizon. The photo is looked at once, and its mirror image is read off the same map. A classic is not told
    the truth of an image then, for it is not that of the mirror image.

    Shape:
        [B, 3, H, W] -> [B, 3, H, W]

    Source: Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution", CVPR workshops
    2017 (geometric self-ensemble, of which this is the mirror alone).
    """

    def forward(self, degraded: Tensor, view: View | None = None) -> Tensor:
        both = torch.cat([degraded, degraded.flip(-1)])
        if view is not None:
            view = View(view.map.repeat(2, 1, 1, 1), torch.cat([view.box, view.box[:, [0, 3, 2, 1]]]))
        restored, mirrored = self.restorer(both, view).chunk(2)
        return (restored + mirrored.flip(-1)) / 2
