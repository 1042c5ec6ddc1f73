"""What a photo suffers from, and how much: from the photo alone, without the restorer and in a moment."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from dino_ir.traces import SMALLEST, find_traces, piece_boxes, shrink_factor

__all__ = ["KINDS", "MODEL", "Read", "estimate", "estimate_parts", "weigh"]

Read = Callable[[int, int, int, int], Tensor]
"""A piece of a photo, by its top, left, bottom and right."""

KINDS = ("noise", "blur", "rain", "haze")
"""What is looked for; the strength of each is above 0:

- noise: standard deviation on the 0-255 scale, as `degradations.gaussian_noise`;
- blur: standard deviation in pixels of the Gaussian, as `degradations.gaussian_blur`;
- rain: mean brightness, in [0, 1], that the streaks and their veil would have before black;
- haze: share of airlight in the photo, in [0, 1]: one minus the mean transmission.
"""

MODEL = Path(__file__).with_name("estimation.safetensors")
"""What `bench/estimation.py` has fitted: docs/trust.md says on what, and how far off it is."""

_ROWS = 256  # that are read at once
_FARTHEST = 4.0  # standard deviations: traces beyond what the model was fitted on count as its rim


def estimate(photo: Tensor) -> dict[str, float] | None:
    """What a photo suffers from, each with its strength in the unit that `KINDS` names.

    The cost is the same at any size, but for one look at all pixels. A clean photo gives {}.

    Args:
        photo: [3, H, W] in [0, 1], as sRGB encodes it.

    Returns:
        Strengths by kind; None for a photo with a side below 32 pixels, which tells too little.
    """
    photo = photo.detach().float().cpu()
    size = (photo.shape[-2], photo.shape[-1])
    return estimate_parts(size, lambda top, left, bottom, right: photo[:, top:bottom, left:right])


def estimate_parts(size: tuple[int, int], read: Read) -> dict[str, float] | None:
    """As `estimate`, of a photo that is read piece by piece.

    Args:
        size: its height and width.
        read: gives a piece, [3, h, w] in [0, 1], by its top, left, bottom and right.
    """
    if min(size) < SMALLEST:
        return None
    factor = shrink_factor(size)
    rows = factor * max(1, _ROWS // factor)
    strips = (read(top, 0, min(top + rows, size[0]), size[1]) for top in range(0, size[0], rows))
    thumbnail = torch.cat([F.avg_pool2d(strip, factor, ceil_mode=True) for strip in strips], dim=1)
    pieces = torch.stack([read(*box) for box in piece_boxes(size)])
    model = _read_model()
    chances, strengths = weigh(find_traces(pieces, thumbnail), model)
    is_found = chances > model["thresholds"]
    return {kind: float(strengths[i]) for i, kind in enumerate(KINDS) if is_found[i]}


def weigh(traces: Tensor, model: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """How likely each kind of damage is, and how strong it is if it is there.

    Args:
        traces: [..., F], from `find_traces`.
        model: the tensors of `MODEL`: two layers with a bend between them.

    Returns:
        Chances in [0, 1] and strengths above 0, each [..., len(KINDS)].
    """
    inputs = ((traces - model["mean"]) / model["deviation"]).clamp(-_FARTHEST, _FARTHEST)
    hidden = torch.tanh(F.linear(inputs, model["inner.weight"], model["inner.bias"]))
    chances, strengths = F.linear(hidden, model["outer.weight"], model["outer.bias"]).chunk(2, dim=-1)
    return chances.sigmoid(), strengths.exp()


@cache
def _read_model() -> dict[str, Tensor]:
    return load_file(MODEL)
