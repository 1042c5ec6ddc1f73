"""Filters that resample along one side, as matrices: `rows @ image @ columns.T` resizes an image.

They give what torch's resizing gives, by multiplications alone, so they mean the same in every program
that a network is exported to. Sizes may be symbols of `torch.export`.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["cubic_weights", "triangle_weights"]

_REACH = 2  # of the cubic kernel, in cells


def triangle_weights(count: int, cells: int) -> Tensor:
    """Antialiased linear filter, [count, cells], float32: that of `ops.resample.resize`.

    Args:
        count: samples to take, evenly.
        cells: numbers there are.
    """
    step = cells / count
    distance = _distances(count, torch.arange(cells), step)
    weights = (1 - distance / torch.sym_max(step, 1.0)).clamp(min=0)
    return (weights / weights.sum(dim=1, keepdim=True)).float()


def cubic_weights(count: int, cells: int, offset: float = 0.0, antialias: bool = True) -> Tensor:
    """Bicubic filter (Keys, 1981), [count, cells], float32; each row sums to 1.

    Args:
        count: samples to take.
        cells: numbers there are.
        offset: added to `count` before the step from sample to sample is taken.
        antialias: widen the filter where samples are fewer than cells. As in torch, the kernel is then
            the softer one of the two in use, and what lies beyond the ends is left out; without it, the
            numbers at the ends go on.
    """
    step = cells / (count + offset)
    if antialias:
        distance = _distances(count, torch.arange(cells), step)
        weights = _cubic(distance / torch.sym_max(step, 1.0), -0.5)
        return (weights / weights.sum(dim=1, keepdim=True)).float()
    around = torch.arange(-_REACH, cells + _REACH)
    at_ends = F.one_hot(around.clamp(0, cells - 1), cells).double()
    return (_cubic(_distances(count, around, step), -0.75) @ at_ends).float()


def _distances(count: int, cells: Tensor, step: float) -> Tensor:
    """How far each sample lies from each cell, in cells: [count, len(cells)], float64."""
    samples = (torch.arange(count, dtype=torch.float64) + 0.5) * step - 0.5
    return (samples[:, None] - cells).abs()


def _cubic(distance: Tensor, slope: float) -> Tensor:
    """Keys' kernel with the given slope at 1: two cubics, 0 from 2 on."""
    near = ((slope + 2) * distance - (slope + 3)) * distance.square() + 1
    far = slope * (((distance - 5) * distance + 8) * distance - 4)
    return torch.where(distance < 1, near, torch.where(distance < _REACH, far, 0.0))
