"""Similarity of structure and texture, by torchmetrics."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from dino_ir.errors import DinoIRError, ImageError

__all__ = ["DISTS"]


@dataclass(frozen=True)
class DISTS:
    """How far apart two images are in structure and texture, 0 for equal ones: [B, 3, H, W] twice -> [B].

    Ding, Ma, Wang, Simoncelli, "Image quality assessment: unifying structure and texture similarity", TPAMI
    2020, by torchmetrics: `pip install 'dino-ir[perceptual]'`. VGG's weights are fetched by torchvision on
    first use.

    Raises:
        DinoIRError: torchmetrics or torchvision is missing, or VGG's weights cannot be had.
        ImageError: the two batches differ in shape.
    """

    @property
    def higher_is_better(self) -> bool:
        return False

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        if restored.shape != clean.shape:
            raise ImageError(f"expected two equal shapes, got {[*restored.shape]} and {[*clean.shape]}")
        peer = _peer().to(restored.device)
        x, y = (images.clamp(0, 1).float().expand(-1, 3, -1, -1) for images in (restored, clean))
        with torch.no_grad():
            return torch.stack([peer(x[i : i + 1], y[i : i + 1]) for i in range(len(x))])


@cache
def _peer() -> Any:
    try:
        from torchmetrics.image import dists  # pyright: ignore[reportMissingImports]

        return dists.DeepImageStructureAndTextureSimilarity()
    except (ImportError, OSError, RuntimeError) as problem:  # what is fetched may not be there to be fetched
        raise DinoIRError(
            "dists needs torchmetrics, torchvision and the weights that it fetches:"
            f" pip install 'dino-ir[perceptual]' ({problem})"
        ) from None
