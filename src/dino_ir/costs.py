"""Floating-point operations: of one photo, and of a whole training."""

from dataclasses import replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from dino_ir.contracts import Restorer
from dino_ir.forecast import forecast
from dino_ir.inference import restore
from dino_ir.recipe import Recipe

__all__ = ["SIDE", "flops_in_words", "flops_of_photo", "flops_of_training"]

SIDE = 256
"""Of the photo that operations are counted for, in pixels."""

_UNITS = {
    0: "FLOP",
    3: "kFLOP",
    6: "MFLOP",
    9: "GFLOP",
    12: "TFLOP",
    15: "PFLOP",
    18: "EFLOP",
}  # by power of ten


def flops_in_words(count: float) -> str:
    """Three digits and a unit, such as "17.4 TFLOP"."""
    rounded = float(f"{count:.3g}")  # first, or 999.9 would stay below the next unit
    power = max(power for power in _UNITS if power == 0 or rounded >= 10**power)
    return f"{rounded / 10**power:.3g} {_UNITS[power]}"


def flops_of_photo(restorer: Restorer) -> int:
    """Operations for a square photo of `SIDE` pixels as it is run, the look of the prior included.

    Multiplications and additions of matrix products, convolutions and attention count; nothing else does.
    """
    photo = torch.zeros(3, SIDE, SIDE)
    restore(restorer, photo)  # the first one is preceded by small ones, which tell what memory tiles take
    with FlopCounterMode(display=False) as counter:
        restore(restorer, photo)
    return counter.get_total_flops()


def flops_of_training(recipe: Recipe) -> float:
    """Operations of all steps of a recipe that trains a restorer; of a contrast, in those that compute it.

    They are foreseen (`forecast.forecast`), so nothing is computed and no weights are read.

    Raises:
        RecipeError: a part of the recipe cannot be built.
    """
    table = recipe.restorer or {}
    contrast = table.get("contrast") or {}
    alone = {key: value for key, value in table.items() if key != "contrast"}
    with_it = forecast(recipe)
    without = forecast(replace(recipe, restorer=alone)) if contrast else with_it
    due = range(contrast.get("start", 0), recipe.steps, contrast.get("every", 1))
    total, first = 0.0, 0
    for phase, dear, cheap in zip(recipe.phase, with_it, without):
        computed = sum(step in due for step in range(first, first + phase.steps))
        total += phase.steps * cheap.flops + computed * (dear.flops - cheap.flops)
        first += phase.steps
    return total
