"""Peak signal-to-noise ratio."""

from dataclasses import dataclass

from torch import Tensor

from dino_ir.errors import ImageError

__all__ = ["PSNR"]


@dataclass(frozen=True)
class PSNR:
    """PSNR in dB over all pixels and channels, peak 1: [B, 3, H, W] twice -> [B].

    Equal images score infinity. Papers round to 8 bits first; `evaluation.evaluate` does that.
    The sum runs in float64, and so is the score.

    Raises:
        ImageError: the two batches differ in shape.

    Example:
        >>> import torch
        >>> PSNR()(torch.full((1, 3, 8, 8), 0.6), torch.full((1, 3, 8, 8), 0.5)).round()
        tensor([20.], dtype=torch.float64)
    """

    @property
    def higher_is_better(self) -> bool:
        return True

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        if restored.shape != clean.shape:
            raise ImageError(f"expected two equal shapes, got {[*restored.shape]} and {[*clean.shape]}")
        error = (restored.double() - clean.double()).square().flatten(1).mean(1)
        return -10 * error.log10()
