"""Teach a gate which of its experts restores a photo best, by letting each of them try."""

import torch
from torch import Tensor, nn

from dino_ir.contracts import Batch, Learner, Restorer
from dino_ir.losses.pixel import FLOOR
from dino_ir.networks.experts import Experts

__all__ = ["ExpertChoice"]


class ExpertChoice(Learner):
    """Cross-entropy between a gate's shares and what each expert alone gets out of a photo.

    A gate that learns through the mixed weights settles on the experts for the largest errors before it can
    tell damages apart, and never finds out what the others are for. This one is told. Only it learns; each
    crop counts as a photo.

    Args:
        restorer: its network is `experts`, and they are trained already.
        temperature: in dB: an expert that is better by so much is to have e times the share.

    Raises:
        ValueError: there are no experts, or the temperature is not above 0.
    """

    def __init__(self, restorer: Restorer, temperature: float = 0.3) -> None:
        super().__init__()
        if not isinstance(getattr(restorer, "network", None), Experts):
            raise ValueError("expert_choice teaches a restorer whose network is experts, and no other")
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0 dB, got {temperature:g}")
        self.restorer, self.temperature = restorer.requires_grad_(False), temperature
        self._experts.gate.requires_grad_(True)
        self._agreement: Tensor | None = None

    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        wanted = (self._decibels(batch) / self.temperature).softmax(dim=1)
        shares = torch.stack([self._experts.shares(photo) for photo in batch.degraded.split(1)])
        self._agreement = (shares.argmax(dim=1) == wanted.argmax(dim=1)).float().mean()
        return {"choice": -(wanted * shares.clamp_min(1e-9).log()).sum(dim=1).mean()}

    def readings(self) -> dict[str, float]:
        """The fraction of the last photos for which the gate's first choice is the best."""
        return {} if self._agreement is None else {"agreement": self._agreement.item()}

    def product(self) -> nn.Module:
        return self.restorer

    @property
    def _experts(self) -> Experts:
        return self.restorer.network  # pyright: ignore[reportReturnType] looked at when it was given

    @torch.no_grad()
    def _decibels(self, batch: Batch) -> Tensor:
        """The PSNR of each photo by each expert, [B, experts]; beyond 45 dB, better hardly counts."""
        experts, errors = self._experts, list[Tensor]()
        try:
            for expert in experts.experts:
                self.restorer.network = expert
                restored = self.restorer(batch.degraded).float()
                errors.append((restored - batch.clean).square().mean(dim=(1, 2, 3)))
        finally:
            self.restorer.network = experts
        return -10 * torch.log10(torch.stack(errors, dim=1) + FLOOR)
