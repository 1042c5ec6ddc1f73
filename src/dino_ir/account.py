"""What is told of one photo's restoration: a record that `json` can write."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ["Change", "describe", "measure_change"]


class Change(NamedTuple):
    """How far a photo, or a part of it, was changed; all parts together tell of the whole."""

    compared: int = 0  # numbers
    absolute: float = 0.0  # sum of the absolute differences
    squared: float = 0.0  # sum of the squared ones
    largest: float = 0.0

    def joined(self, other: "Change") -> "Change":
        """That of two parts."""
        return Change(
            self.compared + other.compared,
            self.absolute + other.absolute,
            self.squared + other.squared,
            max(self.largest, other.largest),
        )

    def levels(self) -> dict[str, float | None]:
        """Mean and largest absolute difference in levels of 8 bits, and the PSNR in dB: None if all are 0."""
        count = max(self.compared, 1)
        return {
            "mean": round(255 * self.absolute / count, 3),
            "largest": round(255 * self.largest, 1),
            "psnr": round(-10 * math.log10(self.squared / count), 2) if self.squared else None,
        }


def measure_change(degraded: Tensor, restored: Tensor) -> Change:
    """How far a photo, or a part of it, was changed.

    Args:
        degraded: of any shape, in [0, 1].
        restored: of the same.
    """
    difference = (restored - degraded).abs()
    return Change(
        difference.numel(),
        float(difference.sum(dtype=torch.float64)),
        float(difference.square().sum(dtype=torch.float64)),
        float(difference.max()),
    )


def describe(
    size: tuple[int, int],
    found: Mapping[str, float] | None,
    change: Change,
    seconds: float,
    peak_memory: int | None = None,
    warnings: Sequence[str] = (),
) -> dict[str, Any]:
    """One photo's record.

    Args:
        size: its height and width.
        found: from `estimation.estimate`; None if the photo was not looked at.
        change: from `measure_change`.
        seconds: that it took.
        peak_memory: in bytes, from `ops.peak.peak_memory`.
        warnings: each a few words, such as the notes of its file and the problems of a first try.

    Returns:
        What `json.dumps` can write, without NaN.

    Example:
        >>> describe((2, 3), {"noise": 24.98}, Change(18, 1.8, 0.18, 0.1), 0.5)["found"]
        {'noise': 25.0}
    """
    height, width = size
    return {
        "width": width,
        "height": height,
        "found": None if found is None else {kind: float(f"{found[kind]:.3g}") for kind in found},
        "change": change.levels(),
        "seconds": round(seconds, 3),
        "peak_memory_mb": None if peak_memory is None else round(peak_memory / 1e6),
        "warnings": list(warnings),
    }
