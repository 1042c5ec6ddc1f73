"""Ranges that numbers are drawn from."""

from collections.abc import Sequence

import torch

__all__ = ["between", "span"]


def span(ends: float | Sequence[float]) -> tuple[float, float]:
    """The two ends of a range; a number alone is both of them.

    Raises:
        ValueError: not two ends.
    """
    if not isinstance(ends, Sequence):
        return ends, ends
    if len(ends) != 2:
        raise ValueError(f"a range is a pair [low, high], got {ends}")
    return ends[0], ends[1]


def between(ends: Sequence[float], rng: torch.Generator) -> float:
    """Draw one number, uniform from the first of two ends to the second."""
    low, high = ends
    return low + (high - low) * float(torch.rand((), generator=rng))
