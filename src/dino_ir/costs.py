"""Floating-point operations: of one photo, and of a whole training."""

from dataclasses import replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from dino_ir.contracts import Restorer
from dino_ir.forecast import forecast
from dino_ir.inference import restore
from dino_ir.recipe import Recipe

__all__ = ["SIDE", "flops_of_photo", "flops_of_training"]

SIDE = 256
"""Of the photo that operations are counted for."""


def flops_of_photo(restorer: Restorer) -> int:
    """Operations for a photo of 256 x 256 as it is run, the look of the prior included."""
    photo = torch.zeros(3, SIDE, SIDE)
    restore(restorer, photo)  # the first one is preceded by small ones, which tell what memory tiles take
    with FlopCounterMode(display=False) as counter:
        restore(restorer, photo)
    return counter.get_total_flops()


def flops_of_training(recipe: Recipe) -> float:
    """Operations of all steps; of a contrast, in those steps that compute it."""
    table = recipe.restorer or {}
    contrast = table.get("contrast") or {}
    alone = {key: value for key, value in table.items() if key != "contrast"}
    with_it = forecast(recipe)
    without = forecast(replace(recipe, restorer=alone)) if contrast else with_it
    total, first = 0.0, 0
    for phase, dear, cheap in zip(recipe.phase, with_it, without):
        steps = range(max(first, contrast.get("start", 0)), first + phase.steps, contrast.get("every", 1))
        total += phase.steps * cheap.flops + len(steps) * (dear.flops - cheap.flops)
        first += phase.steps
    return total
