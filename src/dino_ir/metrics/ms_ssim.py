"""Structural similarity at several scales."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dino_ir.errors import ImageError
from dino_ir.ops.similarity import compare_locally, gaussian_window

__all__ = ["MSSSIM"]

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, fine to coarse
_WINDOW = gaussian_window()
_LEAST = len(_WINDOW) * 2 ** (len(_WEIGHTS) - 1)


@dataclass(frozen=True)
class MSSSIM:
    r"""Structural similarity at five scales, each half as large, peak 1: [B, C, H, W] twice -> [B].

    .. math:: l_5^{w_5} \prod_{i=1}^5 (c_i s_i)^{w_i}

    with means over places and channels at each scale, and at the coarsest one the mean of l c s, as in the
    authors' code; a negative mean counts as 0. Only places where the whole window fits are counted;
    torchmetrics also counts mirrored borders at the coarsest scale, and differs in the third decimal.
    Computed in float64.

    Wang, Simoncelli, Bovik, "Multi-scale structural similarity for image quality assessment", Asilomar
    2003, Eq. 7.

    Raises:
        ImageError: the two batches differ in shape, or are too small for five scales.
    """

    @property
    def higher_is_better(self) -> bool:
        return True

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        if restored.shape != clean.shape:
            raise ImageError(f"expected two equal shapes, got {[*restored.shape]} and {[*clean.shape]}")
        if min(clean.shape[2:]) < _LEAST:
            raise ImageError(
                f"expected images of at least {_LEAST}x{_LEAST} for MS-SSIM, got {[*clean.shape]}"
            )
        x, y = restored.double(), clean.double()
        score = torch.ones(len(x), dtype=torch.double, device=x.device)
        for scale, weight in enumerate(_WEIGHTS, start=1):
            means, structures = compare_locally(x, y, _WINDOW)
            alike = means * structures if scale == len(_WEIGHTS) else structures
            score = score * alike.flatten(1).mean(1).clamp(min=0) ** weight
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        return score
