"""Whether a result can be trusted: checks that no good restoration fails, and that a broken one does."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Generic, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from dino_ir.errors import ImageError
from dino_ir.ops.color import luma

__all__ = [
    "Outcome",
    "UntrustedError",
    "find_problems",
    "full_precision",
    "require_trust",
    "restore_trusted",
    "wants_full_precision",
]

Made = TypeVar("Made")

_CELL = 64  # pixels of a side of the squares whose mean colours are compared
_MOST_DRIFT = 6 / 255  # beyond what was removed; good results stay below 4 / 255: docs/trust.md
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
        restore: calls `require_trust`, and leaves nothing behind if that raises.
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


def require_trust(degraded: Tensor, restored: Tensor) -> None:
    """Let a result pass that `find_problems` finds nothing wrong with.

    Raises:
        UntrustedError: it found something.
    """
    if problems := find_problems(degraded, restored):
        raise UntrustedError(f"the result {' and '.join(problems)}")


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


def find_problems(degraded: Tensor, restored: Tensor) -> tuple[str, ...]:
    """What is wrong with a result; nothing with one that can be trusted.

    It must have the photo's size and finite numbers in [0, 1]; it must not be black, white or flat where the
    photo is not; and its coarse colours must be the photo's but for what was taken away. That is a veil of
    bright grey light, as haze draws over a scene, and beyond it no more than the noise or the streaks that
    are gone measured: they may have covered a colour or, by clipping, shifted it.

    Args:
        degraded: [3, H, W] in [0, 1], a photo or any large piece of one.
        restored: what became of it.

    Returns:
        Problems, each a few words that follow "the result".
    """
    if restored.shape != degraded.shape:
        return (f"is of shape {[*restored.shape]}, not {[*degraded.shape]}",)
    if not restored.isfinite().all():
        return ("has values that are not numbers",)
    low, high = (float(end) for end in restored.aminmax())
    if low < 0 or high > 1:
        return (f"runs from {low:.3g} to {high:.3g}, beyond [0, 1]",)
    problems = (check(degraded, restored) for check in (_find_clipping, _find_flatness, _find_drift))
    return tuple(filter(None, problems))


def _find_clipping(degraded: Tensor, restored: Tensor) -> str:
    is_black = (restored <= _LEVEL) & (degraded > _LEVEL + _FAR)
    is_white = (restored >= 1 - _LEVEL) & (degraded < 1 - _LEVEL - _FAR)
    share = float((is_black | is_white).float().mean())
    return f"turned {share:.0%} of the photo black or white" if share > _MOST_CLIPPED else ""


def _find_flatness(degraded: Tensor, restored: Tensor) -> str:
    before, after = (float(luma(_cells(each)).std(correction=0)) for each in (degraded, restored))
    share = (after + _EVEN) / (before + _EVEN)
    return f"has {share:.0%} of the photo's contrast" if share < _LEAST_CONTRAST else ""


def _find_drift(degraded: Tensor, restored: Tensor) -> str:
    change = restored - degraded
    drift = _cells(change)
    fine = (_cells(change.square()) - drift.square()).mean(dim=0).clamp(min=0).sqrt()
    most = min(float((_unexplained(degraded, drift, air) - fine).max()) for air in _AIR)
    return f"drifts in colour by {most * 255:.0f} levels" if most > _MOST_DRIFT else ""


def _unexplained(degraded: Tensor, drift: Tensor, air: float) -> Tensor:
    """What of a drift is not the end of haze of grey airlight, [h, w].

    Haze is I = J t + A (1 - t), so J - I = -k (A - I), with a k = 1 / t - 1 >= 0 that all colours share.
    """
    veil = air - _cells(degraded)
    thickness = -(drift * veil).sum(dim=0) / veil.square().sum(dim=0).clamp(min=_LEVEL**2)
    return (drift + thickness.clamp(min=0) * veil).square().mean(dim=0).sqrt()


def _cells(image: Tensor) -> Tensor:
    """Means over squares of about 64 pixels a side, [3, h, w]."""
    height, width = (max(1, side // _CELL) for side in image.shape[-2:])
    return F.adaptive_avg_pool2d(image, (height, width))
