"""How fast a training run goes, and how long it will take."""

import time
from typing import NamedTuple

from dino_ir.recipe import Recipe

__all__ = ["Clock", "Step"]


class Step(NamedTuple):
    """What one step tells the caller of `train`."""

    step: int  # steps done
    steps: int  # of the whole run
    values: dict[str, float]  # losses and readings by name
    crops_per_second: float
    seconds_left: float


class Clock:
    """How fast a run goes; phases of larger crops are known to take longer.

    Attributes:
        step_seconds: between the last two ticks.
    """

    def __init__(self, recipe: Recipe, first: int) -> None:
        self.recipe, self.first, self.crops, self.started = recipe, first, 0, time.monotonic()
        self.step_seconds, self._ticked = 0.0, self.started

    @property
    def seconds(self) -> float:
        """Since the run began or went on."""
        return time.monotonic() - self.started

    def tick(self, step: int, crops: int, values: dict[str, float]) -> Step:
        """Count the crops of one more step, and look ahead."""
        self.crops += crops
        before, self._ticked = self._ticked, time.monotonic()
        self.step_seconds = self._ticked - before
        ahead = self._pixels(step, self.recipe.steps) / self._pixels(self.first, step)
        return Step(step, self.recipe.steps, values, self.crops / self.seconds, self.seconds * ahead)

    def _pixels(self, first: int, last: int) -> int:
        """Pixels of all crops of a range of steps."""
        total, start = 0, 0
        for phase in self.recipe.phase:
            steps = max(0, min(last, start + phase.steps) - max(first, start))
            total += steps * phase.batch * phase.crops * phase.crop**2
            start += phase.steps
        return total
