"""What layers pool over all they see, and how the tiles of a photo share it."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import Tensor, nn

from dino_ir.contracts import View

__all__ = ["Pooled", "Pools", "is_measuring_pools", "shared_pools", "split_photos", "take_shared"]

_measuring: ContextVar[int] = ContextVar("measuring_pools", default=0)  # pieces of each photo; 0: it is not
_shared: ContextVar[Sequence[Tensor] | None] = ContextVar("shared_pools", default=None)
_ahead: ContextVar[Iterator[Tensor] | None] = ContextVar("pools_ahead", default=None)  # of those shared


def is_measuring_pools() -> bool:
    """Whether `Pools.measuring` waits for layers to mark what they pool."""
    return _measuring.get() > 0


def split_photos(pieces: Tensor, view: View | None = None) -> Iterator[tuple[Tensor, View | None]]:
    """The pieces of each photo of a batch, and their own view; without one, each piece is a photo.

    While pools are measured, photos are told apart whatever the view: each piece may have its own map then.
    """
    each = _measuring.get() or (len(pieces) // len(view.map) if view else 1)
    for start in range(0, len(pieces), each):
        part = None
        if view:
            first, last = (place * len(view.map) // len(pieces) for place in (start, start + each))
            part = View(view.map[first:last], view.box[start : start + each])
        yield pieces[start : start + each], part


def shared_pools() -> Sequence[Tensor] | None:
    """What the layers that mark what they pool are given just now, in their order, [P, ...] each.

    Where a network takes photos one by one, those of the first come before those of the next, [1, ...] each.
    For programs that run such layers elsewhere; None where each pools for itself.
    """
    return _shared.get()


def take_shared(count: int) -> list[Tensor] | None:
    """What the next layers that mark what they pool would be given, for those who need not run them then.

    None where each pools for itself.
    """
    ahead = _ahead.get()
    return None if ahead is None else [next(ahead) for _ in range(count)]


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

    Attributes:
        values: what was measured, in the order in which a forward pass makes it, [P, ...] each; of a
            network that takes photos one by one, all of the first photo, then all of the next, [1, ...] each.
    """

    def __init__(self, restorer: nn.Module) -> None:
        self._marks = [part for part in restorer.modules() if isinstance(part, Pooled)]
        self.values: list[Tensor] = []

    def __bool__(self) -> bool:
        """Whether there is anything to share."""
        return bool(self._marks)

    @contextmanager
    def measuring(self, each: int) -> Generator[None]:
        """Within, one pass over pieces of photos, `each` of one in a row, measures the means of each photo.

        The pieces see those means themselves, layer by layer, as pieces of one image would.
        """
        self.values = []

        def measure(pooled: Tensor) -> Tensor:
            self.values.append(pooled.unflatten(0, (-1, each)).mean(dim=1))
            return _repeated(self.values[-1], pooled)

        with _set(_measuring, each), self._replacing(measure):
            yield

    @contextmanager
    def sharing(self) -> Generator[None]:
        """Within, one pass over pieces of the photos sees what was measured."""
        values = iter(self.values)
        replacing = self._replacing(lambda pooled: _repeated(next(values), pooled))
        with _set(_shared, self.values), _set(_ahead, values), replacing:
            yield

    @contextmanager
    def mixing(self, values: Sequence[Tensor], share: Tensor) -> Generator[None]:
        """Within, one pass over a piece sees given values, for a share of 1, or its own, for a share of 0.

        For graphs, which cannot be told which of the two by anything but a number.
        """
        given = iter(values)
        with self._replacing(lambda pooled: pooled + (next(given) - pooled) * share):
            yield

    @contextmanager
    def _replacing(self, value: Callable[[Tensor], Tensor]) -> Generator[None]:
        def replace(_mark: nn.Module, _inputs: object, pooled: Tensor) -> Tensor:
            return value(pooled)

        hooks = [mark.register_forward_hook(replace) for mark in self._marks]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


@contextmanager
def _set(variable: ContextVar[Any], value: Any) -> Generator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def _repeated(values: Tensor, like: Tensor) -> Tensor:
    """The value of each photo for each of its pieces."""
    return values.to(like).repeat_interleave(len(like) // len(values), dim=0)
