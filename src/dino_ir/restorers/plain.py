"""A network on its own. Every baseline is this with another network."""

from torch import Tensor

from dino_ir.contracts import Batch, Network, Restorer, View
from dino_ir.losses.pixel import l1

__all__ = ["Plain"]


class Plain(Restorer):
    """No prior and no fusion: restore with the network, train with L1.

    Args:
        network: what restores.
        knee: where L1 bends, see `losses.pixel.l1`; None for the plain one.
    """

    def __init__(self, network: Network, knee: float | None = None) -> None:
        super().__init__()
        self.knee = knee
        self.network = network
        self.multiple_of = network.multiple_of

    def forward(self, degraded: Tensor, view: View | None = None) -> Tensor:
        return self.network(degraded)

    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        return {"pixel": l1(self(batch.degraded), batch.clean, self.knee)}
