"""What layers pool over all they see, and how the tiles of a photo share it."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from torch import Tensor, nn

__all__ = ["Pooled", "Pools"]


class Pooled(nn.Module):
    """Marks a mean or a sum over all pixels, [B, ...], and gives it on as it is.

    A network that pools over a whole photo sees a tile as a photo of its own, and restores neighbours
    differently. `Pools` puts what many pieces have in common in place of what is marked.
    """

    def forward(self, pooled: Tensor) -> Tensor:
        return pooled


class Pools:
    """What a restorer pools over photos, measured on pieces of them.

    Args:
        restorer: whose layers mark what they pool.
    """

    def __init__(self, restorer: nn.Module) -> None:
        self._marks = [part for part in restorer.modules() if isinstance(part, Pooled)]
        self._values: list[Tensor] = []  # in the order in which a forward pass makes them, [P, ...] each

    def __bool__(self) -> bool:
        """Whether there is anything to share."""
        return bool(self._marks)

    @contextmanager
    def measuring(self, photos: int) -> Generator[None]:
        """Within, one pass over B pieces of P photos, B / P of each in a row, measures the means of each.

        The pieces see those means themselves, layer by layer, as pieces of one image would.
        """
        self._values = []

        def measure(pooled: Tensor) -> Tensor:
            self._values.append(pooled.unflatten(0, (photos, -1)).mean(dim=1))
            return self._values[-1]

        with self._replacing(measure):
            yield

    @contextmanager
    def sharing(self) -> Generator[None]:
        """Within, one pass over pieces of the photos sees what was measured."""
        values = iter(self._values)
        with self._replacing(lambda _: next(values)):
            yield

    @contextmanager
    def _replacing(self, value: Callable[[Tensor], Tensor]) -> Generator[None]:
        def replace(_mark: nn.Module, _inputs: object, pooled: Tensor) -> Tensor:
            mean = value(pooled)
            return mean.to(pooled).repeat_interleave(len(pooled) // len(mean), dim=0)

        hooks = [mark.register_forward_hook(replace) for mark in self._marks]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
