"""Feature maps as colours: their principal components."""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["colour_maps"]


def colour_maps(maps: Sequence[Tensor]) -> list[Tensor]:
    """The first three principal components of all maps together, as red, green and blue.

    One basis and one range for all, so that equal features have equal colours in every picture, and
    colours that differ are features that differ. A component's sign is such that its largest loading is
    positive.

    Args:
        maps: [C, h, w] each, C at least 3.

    Returns:
        [3, h, w] in [0, 1] each.
    """
    tokens = torch.cat([map_.flatten(1) for map_ in maps], dim=1).T.double()  # [N, C]
    _values, vectors = torch.linalg.eigh(tokens.T.cov())
    basis = vectors[:, -3:].flip(1)  # largest first
    basis = basis * basis.gather(0, basis.abs().argmax(dim=0, keepdim=True)).sign()
    seen = (tokens - tokens.mean(dim=0)) @ basis
    low, high = seen.amin(dim=0), seen.amax(dim=0)
    seen = ((seen - low) / (high - low).clamp(min=1e-12)).float().T
    sizes = [map_.shape[-2] * map_.shape[-1] for map_ in maps]
    return [part.unflatten(1, map_.shape[-2:]) for part, map_ in zip(seen.split(sizes, dim=1), maps)]
