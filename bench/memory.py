"""What `dino-ir check` foresees of a step's memory, beside what the process then really takes on a CPU.

python bench/memory.py RECIPE [PHASE] [KEY=VALUE ...]: one phase, with random weights and pictures.
"""

import sys
from dataclasses import replace
from pathlib import Path

import torch
from machine import most_memory

from dino_ir.catalog import build
from dino_ir.contracts import Batch
from dino_ir.forecast import forecast
from dino_ir.ops.allocator import keep_freed_memory
from dino_ir.recipe import Recipe
from dino_ir.run_state import State


def main(path: str, number: str = "0", *settings: str) -> None:
    """Foresee one phase of a recipe, take two steps of it, and compare."""
    keep_freed_memory()
    recipe = Recipe.read(Path(path), settings)
    phase = recipe.phase[int(number)]
    recipe = replace(recipe, phase=[phase])
    (foreseen,) = forecast(recipe)
    before = most_memory()
    learner = build(*recipe.subject)
    crops = phase.batch * phase.crops
    degraded, clean = (torch.rand(crops, 3, phase.crop, phase.crop) for _ in range(2))
    side = learner.thumbnail
    photo = None if side is None else torch.rand(phase.batch, 3, side, side)
    box = None if side is None else torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(crops, 4)
    state = State(recipe, learner.to(memory_format=torch.channels_last).train())
    for _ in range(2):
        state.advance(Batch(degraded, clean, photo, box), "cpu")
    taken = 2**20 * (most_memory() - before)
    print(
        f"foreseen {foreseen.memory / 2**20:.0f} MiB, taken {taken / 2**20:.0f} MiB, "
        f"{taken / foreseen.memory:.2f} of it"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
