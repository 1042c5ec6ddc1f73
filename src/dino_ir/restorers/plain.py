"""A network on its own. Every baseline is this with another network."""

import torch
from torch import Tensor

from dino_ir.contracts import Batch, Network, Restorer, View, no_guide
from dino_ir.losses.pixel import pixel_loss
from dino_ir.pools import split_photos

__all__ = ["Plain"]


class Plain(Restorer):
    """No prior and no fusion: restore with the network, train on pixels.

    Args:
        network: what restores.
        pixel: what it is trained with, "l1" or "psnr".
        knee: where L1 bends, see `losses.pixel.l1`; None for the plain one.

    Raises:
        ValueError: from `losses.pixel.pixel_loss`.
    """

    def __init__(self, network: Network, pixel: str = "l1", knee: float | None = None) -> None:
        super().__init__()
        self.pixel = pixel_loss(pixel, knee)
        self.network = network
        self.multiple_of, self.tile_side = network.multiple_of, network.tile_side

    def forward(self, degraded: Tensor, view: View | None = None) -> Tensor:
        if not self.network.takes_one_photo:
            return self.network(degraded)
        return torch.cat(self.network.each((pieces, no_guide) for pieces, _ in split_photos(degraded)))

    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        return {"pixel": self.pixel(self(batch.degraded), batch.clean)}

    def readings(self) -> dict[str, float]:
        return self.network.readings()
