"""Restorers that run another one in another way."""

from torch import Tensor

from dino_ir.contracts import Restorer

__all__ = ["Wrapped"]


class Wrapped(Restorer):
    """Another restorer, run in another way: what the way does not change is that restorer's."""

    def __init__(self, restorer: Restorer) -> None:
        super().__init__()
        self.restorer, self.multiple_of, self.tile_side = restorer, restorer.multiple_of, restorer.tile_side
        self.works_in_tiles = restorer.works_in_tiles
        self.train(restorer.training)

    def forget(self) -> None:
        self.restorer.forget()

    @property
    def needs_look(self) -> bool:
        return self.restorer.needs_look

    def look(self, photo: Tensor) -> Tensor | None:
        return self.restorer.look(photo)
