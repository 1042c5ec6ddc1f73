"""Learned perceptual similarity, by torchmetrics."""

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor

from dino_ir.errors import DinoIRError, ImageError

__all__ = ["LPIPS"]


@dataclass(frozen=True)
class LPIPS:
    """How far apart a network for recognition finds two images, 0 for equal ones: [B, 3, H, W] twice -> [B].

    Zhang et al., "The unreasonable effectiveness of deep features as a perceptual metric", CVPR 2018, by
    torchmetrics: `pip install 'dino-ir[perceptual]'`. The network's weights are fetched by torchvision on
    first use. Restorers are usually scored with "alex".

    Attributes:
        network: "alex", "vgg" or "squeeze".

    Raises:
        ValueError: no such network.
        DinoIRError: torchmetrics or torchvision is missing, or the network's weights cannot be had.
        ImageError: the two batches differ in shape.
    """

    network: Literal["alex", "vgg", "squeeze"] = "alex"

    def __post_init__(self) -> None:
        if self.network not in ("alex", "vgg", "squeeze"):
            raise ValueError(f"no network {self.network!r}; there are: alex, vgg, squeeze")

    @property
    def higher_is_better(self) -> bool:
        return False

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        if restored.shape != clean.shape:
            raise ImageError(f"expected two equal shapes, got {[*restored.shape]} and {[*clean.shape]}")
        peer = _peer(self.network).to(restored.device)
        x, y = (images.clamp(0, 1).float().expand(-1, 3, -1, -1) for images in (restored, clean))
        with torch.no_grad():
            return torch.stack([peer(x[i : i + 1], y[i : i + 1]) for i in range(len(x))])


@cache
def _peer(network: str) -> Any:
    try:
        from torchmetrics.image import lpip  # pyright: ignore[reportMissingImports]

        return lpip.LearnedPerceptualImagePatchSimilarity(net_type=network, normalize=True)
    except (ImportError, OSError, RuntimeError) as problem:  # what is fetched may not be there to be fetched
        raise DinoIRError(
            "lpips needs torchmetrics, torchvision and the weights that it fetches:"
            f" pip install 'dino-ir[perceptual]' ({problem})"
        ) from None
