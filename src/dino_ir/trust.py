"""Whether a result can be trusted: checks that no good restoration fails, and that a broken one does."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from dino_ir.errors import ImageError
from dino_ir.ops.color import luma

__all__ = [
    "Outcome",
    "Survey",
    "UntrustedError",
    "find_problems",
    "full_precision",
    "restore_trusted",
    "wants_full_precision",
]

Made = TypeVar("Made")

_CELL = 64  # pixels of a side of the squares whose mean colours are compared
_MOST_DRIFT = 6 / 255  # beyond what was removed; no good result came so far: docs/trust.md
_LEAST_CONTRAST = 0.5  # of the photo's
_MOST_CLIPPED = 0.25  # of the numbers
_LEVEL = 1 / 255
_EVEN = 2 * _LEVEL  # contrast of a photo so even that it can lose no more
_AIR = (0.7, 0.8, 0.9, 1.0)  # brightness of airlight; the one that explains most counts
_FAR = 16 * _LEVEL  # what lies so far from black was not black


class UntrustedError(ImageError):
    """A result that must not be written; the message says why."""


class Outcome(NamedTuple, Generic[Made]):
    """What became of a restoration that was checked."""

    made: Made
    problems: str = ""  # why the first try could not be trusted
    is_original: bool = False  # whether the second try could not either, and the photo was kept as it was


def restore_trusted(restore: Callable[[], Made], keep: Callable[[], Made], device: str) -> Outcome[Made]:
    """Restore; if the result cannot be trusted, once more in full precision; then keep the photo as it is.

    Args:
        restore: raises an `UntrustedError` if the result is wrong, and then leaves nothing behind.
        keep: makes of the photo what `restore` would have made, with its pixels as they are.
        device: where it is restored, "cpu", "cuda" or "mps".
    """
    try:
        return Outcome(restore())
    except UntrustedError as problem:
        problems = str(problem)
    try:
        with full_precision(device):
            return Outcome(restore(), problems)
    except UntrustedError:
        return Outcome(keep(), problems, is_original=True)


_full = ContextVar("full_precision", default=False)


def wants_full_precision() -> bool:
    """Whether this runs within `full_precision`: what lowers precision by itself must then not."""
    return _full.get()


@contextmanager
def full_precision(device: str) -> Generator[None]:
    """Compute in float32 as it is, whatever was allowed before: no autocast, and no TF32 on a GPU."""
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    token = _full.set(True)
    try:
        with torch.autocast(device, enabled=False):
            yield
    finally:
        _full.reset(token)
        torch.backends.cudnn.allow_tf32 = convolutions
        torch.backends.cuda.matmul.allow_tf32 = products


class Survey:
    """What is seen of a photo and its result, piece by piece; only the whole can be judged.

    For a single piece may well become flat, as sky does once its haze is gone.

    Args:
        size: the photo's height and width.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self._clear()

    def add(self, top: int, left: int, degraded: Tensor, restored: Tensor) -> None:
        """See a piece, [3, h, w] in [0, 1], and what became of it. At 0, 0 all begins anew.

        Pieces cover the photo once, and that at 0, 0 comes first.

        Raises:
            UntrustedError: the result is of another shape, or has values that no photo has.
        """
        if nonsense := _name_nonsense(degraded, restored):
            raise UntrustedError(f"the result {nonsense}")
        if (top, left) == (0, 0):
            self._clear()
        (height, width), (whole_height, whole_width) = degraded.shape[-2:], self.size
        rows, in_rows = _share(top, height, whole_height)
        columns, in_columns = _share(left, width, whole_width)
        for sums, numbers in (
            (self._before, degraded),
            (self._after, restored),
            (self._squared, (restored - degraded).square()),
        ):
            sums[:, rows, columns] += in_rows @ numbers.cpu().double() @ in_columns.T
        self._clipped += int(_is_clipped(degraded, restored).sum())

    def problems(self) -> tuple[str, ...]:
        """What is wrong with the result once all pieces were seen, as `find_problems` says it."""
        counts = [_count_pixels(side) for side in self.size]
        pixels = counts[0][:, None] * counts[1]
        before, after, squared = self._before / pixels, self._after / pixels, self._squared / pixels
        clipped = self._clipped / (3 * self.size[0] * self.size[1])
        found = (_name_clipping(clipped), _name_flatness(before, after), _name_drift(before, after, squared))
        return tuple(filter(None, found))

    def require_trust(self) -> None:
        """Let a result pass that has no problems.

        Raises:
            UntrustedError: it has some.
        """
        if problems := self.problems():
            raise UntrustedError(f"the result {' and '.join(problems)}")

    def _clear(self) -> None:
        cells = [_count_cells(side) for side in self.size]
        sums = torch.zeros(3, 3, *cells, dtype=torch.float64)  # over the pixels of each cell
        self._before, self._after, self._squared = sums.unbind()
        self._clipped = 0


def find_problems(degraded: Tensor, restored: Tensor) -> tuple[str, ...]:
    """What is wrong with a result; nothing with one that can be trusted.

    It must have the photo's size and finite numbers in [0, 1]; it must not be black, white or flat where the
    photo is not; and its coarse colours must be the photo's but for what was taken away. That is a veil of
    bright grey light, as haze draws over a scene, or grey light that was added, as by rain; and beyond it no
    more than the noise or the streaks that are gone measured: they may have covered a colour or, by clipping,
    shifted it.

    Args:
        degraded: [3, H, W] in [0, 1], a whole photo.
        restored: what became of it.

    Returns:
        Problems, each a few words that follow "the result".
    """
    if nonsense := _name_nonsense(degraded, restored):
        return (nonsense,)
    survey = Survey((degraded.shape[-2], degraded.shape[-1]))
    survey.add(0, 0, degraded, restored)
    return survey.problems()


def _name_nonsense(degraded: Tensor, restored: Tensor) -> str:
    if restored.shape != degraded.shape:
        return f"is of shape {[*restored.shape]}, not {[*degraded.shape]}"
    if not restored.isfinite().all():
        return "has values that are not numbers"
    low, high = (float(end) for end in restored.aminmax())
    return f"runs from {low:.3g} to {high:.3g}, beyond [0, 1]" if low < 0 or high > 1 else ""


def _is_clipped(degraded: Tensor, restored: Tensor) -> Tensor:
    is_black = (restored <= _LEVEL) & (degraded > _LEVEL + _FAR)
    is_white = (restored >= 1 - _LEVEL) & (degraded < 1 - _LEVEL - _FAR)
    return is_black | is_white


def _name_clipping(share: float) -> str:
    return f"turned {share:.0%} of the photo black or white" if share > _MOST_CLIPPED else ""


def _name_flatness(before: Tensor, after: Tensor) -> str:
    first, last = (float(luma(cells).std(correction=0)) for cells in (before, after))
    share = (last + _EVEN) / (first + _EVEN)
    return f"has {share:.0%} of the photo's contrast" if share < _LEAST_CONTRAST else ""


def _name_drift(before: Tensor, after: Tensor, squared: Tensor) -> str:
    drift = after - before
    fine = (squared - drift.square()).mean(dim=0).clamp(min=0).sqrt()
    most = min(float((_unexplained(before, drift, air) - fine).max()) for air in _AIR)
    return f"drifts in colour by {most * 255:.0f} levels" if most > _MOST_DRIFT else ""


def _unexplained(before: Tensor, drift: Tensor, air: float) -> Tensor:
    """What of a drift is neither the end of haze of grey airlight nor that of grey light, [h, w].

    Haze is I = J t + A (1 - t), so J - I = -k (A - I), with a k = 1 / t - 1 >= 0 that all colours share. Rain
    adds its light: I = J + r, so J - I = -r, with an r >= 0 that they share too.
    """
    veil = air - before
    thickness = -(drift * veil).sum(dim=0) / veil.square().sum(dim=0).clamp(min=_LEVEL**2)
    without_haze = drift + thickness.clamp(min=0) * veil
    without_rain = drift - drift.mean(dim=0).clamp(max=0)
    return torch.minimum(*(each.square().mean(dim=0).sqrt() for each in (without_haze, without_rain)))


def _count_cells(side: int) -> int:
    return max(1, side // _CELL)


def _count_pixels(side: int) -> Tensor:
    """How many pixels of a side lie in each of its cells, as `_share` has them."""
    count = _count_cells(side)
    cells = torch.arange(count)
    return -(-(cells + 1) * side // count) - cells * side // count


def _share(start: int, length: int, side: int) -> tuple[slice, Tensor]:
    """The cells that some pixels of a side lie in, and 1 for each that lies in each, [cells, length].

    Cells are those of `adaptive_avg_pool2d`: neighbours may share a pixel.
    """
    count, end = _count_cells(side), start + length
    reached = slice(start * count // side, -(-end * count // side))
    cells = torch.arange(reached.start, reached.stop)[:, None]
    pixels = torch.arange(start, end)
    lies_in = (cells * side // count <= pixels) & (pixels * count < (cells + 1) * side)
    return reached, lies_in.double()
