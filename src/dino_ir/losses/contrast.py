"""The DINO perception contrastive loss (DPC): near the clean image, far from the degraded one."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dino_ir.contracts import Prior
from dino_ir.ops.resample import resize

__all__ = ["PriorContrast", "contrast_ratio"]


@dataclass(frozen=True)
class PriorContrast:
    r"""Contrast images in the feature space of a frozen prior (DINO-IR, equation 6).

    .. math:: L = \sum_i w_i \, D(\Psi_i(v), \Psi_i(v_+)) / D(\Psi_i(v), \Psi_i(v_-))

    with the restored image v, the clean v+ and the degraded v-, features Psi_i after block i and D
    the mean absolute difference. The paper names neither blocks nor weights; these follow AECR-Net
    (Wu et al., CVPR 2021), whose weights double with each layer.

    Attributes:
        blocks: the prior's blocks, counted from 0; it runs no deeper than the last.
        weights: w_i, one for each block.
        limit: no ratio counts for more than this. A restorer that starts as the identity has v = v-,
            so the ratio starts near infinity (and degraded images that are clean make it 0 / 0).
        weight: of the whole term in the training loss (lambda in equation 7).
        start: the first training step that computes it.
        every: from there on, one step of so many computes it.

    Raises:
        ValueError: as many weights as blocks are needed, and positive numbers.
    """

    blocks: Sequence[int] = (0, 1, 2, 3)
    weights: Sequence[float] = (0.125, 0.25, 0.5, 1.0)
    limit: float = 10.0
    weight: float = 1.0
    start: int = 0
    every: int = 1

    def __post_init__(self) -> None:
        if len(self.blocks) != len(self.weights) or not self.blocks:
            raise ValueError(
                f"contrast needs one weight for each block, got {self.blocks} and {self.weights}"
            )
        if min(self.limit, self.every) <= 0:
            raise ValueError(f"contrast needs limit and every above 0, got {self.limit} and {self.every}")

    def is_due(self, step: int) -> bool:
        """Whether this step computes the loss."""
        return step >= self.start and (step - self.start) % self.every == 0

    def ratios(self, prior: Prior, restored: Tensor, clean: Tensor, degraded: Tensor) -> Tensor:
        """The clamped ratio of every block and image, [blocks, B]; gradients reach `restored` alone."""
        anchors = self._describe(prior, restored)
        with torch.no_grad():
            positives, negatives = self._describe(prior, clean), self._describe(prior, degraded)
        return torch.stack(
            [contrast_ratio(*features, self.limit) for features in zip(anchors, positives, negatives)]
        )

    def combine(self, ratios: Tensor) -> Tensor:
        """The weighted loss, a scalar, of what `ratios` gave: the mean over the images."""
        weights = ratios.new_tensor(self.weights)
        return self.weight * (weights @ ratios.mean(dim=1))

    def _describe(self, prior: Prior, image: Tensor) -> tuple[Tensor, ...]:
        height, width = (-(-side // prior.stride) * prior.stride for side in image.shape[-2:])
        return prior.blocks(resize(image, (height, width)), self.blocks)


def contrast_ratio(anchor: Tensor, positive: Tensor, negative: Tensor, limit: float) -> Tensor:
    """How much nearer the anchor is to the positive than to the negative: 0 is there, 1 is half-way.

    Args:
        anchor, positive, negative: [B, C, h, w].
        limit: the largest ratio; beyond it the gradient is zero.

    Returns:
        [B], in [0, limit].
    """
    # Cast first: in bf16 the difference of two features would be rounded to three digits.
    near, far = ((anchor.float() - other.float()).abs().mean(dim=(1, 2, 3)) for other in (positive, negative))
    return (near / far.clamp(min=1e-6)).clamp(max=limit)
