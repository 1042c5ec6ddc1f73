"""Pixel-semantic fusion (PSF): a gate weighs what one expert for each depth makes of its features."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dino_ir.contracts import FeatureFusion

__all__ = ["PixelSemantic"]


class PixelSemantic(FeatureFusion):
    r"""Fuse shallow, medium and deep features by scores that depend on the image.

    .. math:: F = \sum_l S_l \, E_l(F_l), \quad S = \mathrm{softmax}(\mathrm{Gate}(\mathrm{Concat}(F_l)))

    DINO-IR, equations 1 to 4. The paper gives no widths; its trained scores (0.30, 0.32, 0.38) add up
    to one, hence the softmax, one triple per image.

    Args:
        prior_channels: channels of each feature map.
        channels: of the fused map, and hidden width of the gate.
        bound: how far from 0 the gate's logits are kept, by a tanh, so that no score is more than
            e^(2 bound) times another (not in the paper); None leaves them free.

    Raises:
        ValueError: a bound that is not above 0.

    Shape:
        L maps [B, C_l, h, w] -> [B, channels, h, w].
    """

    def __init__(
        self, prior_channels: Sequence[int], channels: int = 256, bound: float | None = None
    ) -> None:
        super().__init__()
        if bound is not None and not bound > 0:
            raise ValueError(f"bound must be above 0, got {bound}")
        self.bound = bound
        self.channels = channels
        self.gate = nn.Sequential(
            nn.Linear(sum(prior_channels), channels), nn.GELU(), nn.Linear(channels, len(prior_channels))
        )
        self.experts = nn.ModuleList(_expert(width, channels) for width in prior_channels)
        self._scores: Tensor | None = None

    def scores(self, features: Sequence[Tensor]) -> Tensor:
        """The weight of each depth (equation 2), [B, L]; each row sums to 1."""
        pooled = torch.cat([maps.mean(dim=(2, 3)) for maps in features], dim=1)
        logits = self.gate(pooled).float()
        if self.bound is not None:
            logits = self.bound * (logits / self.bound).tanh()
        return logits.softmax(dim=1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        scores = self.scores(features)
        self._scores = scores.detach()
        parts = [expert(maps) for expert, maps in zip(self.experts, features)]
        return torch.stack([part * scores[:, i, None, None, None] for i, part in enumerate(parts)]).sum(dim=0)

    def readings(self) -> dict[str, float]:
        """The gate's mean score for each depth in the last batch, shallow first."""
        if self._scores is None:
            return {}
        return {f"gate_{depth}": score for depth, score in enumerate(self._scores.mean(dim=0).tolist())}


def _expert(channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out_channels, 1), nn.GELU(), nn.Conv2d(out_channels, out_channels, 3, padding=1)
    )
