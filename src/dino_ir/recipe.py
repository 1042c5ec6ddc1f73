"""A recipe is one TOML file that says everything about one training run."""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self, TypeVar

from dino_ir.errors import RecipeError

__all__ = ["Phase", "Recipe"]

Table = dict[str, Any]
Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Phase:
    """Steps that share a batch and a crop size.

    Attributes:
        steps: optimizer steps.
        batch: photos in a step.
        crop: side of a training crop, in pixels.
        crops: crops of each photo; a step learns from batch x crops of them.
        lr: learning rate; a pair falls from the first to the second as half a cosine over the phase.
        region: side in pixels, or a range of sides, of what is cut from the photo and degraded: the
            "photo" whose thumbnail the prior sees and which crops are cut from. None: the crop alone.
        zoom: a range of sides, in pixels, that are scaled to `crop`; None cuts `crop` itself.
    """

    steps: int
    batch: int = 8
    crop: int = 128
    crops: int = 1
    lr: float | Sequence[float] = 2e-4
    region: int | Sequence[int] | None = None
    zoom: Sequence[int] | None = None

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.crop, self.crops) < 1:
            raise RecipeError("a phase needs steps, batch, crop and crops of at least 1")
        if len(self.lr_ends) != 2 or min(self.lr_ends) < 0:
            raise RecipeError(f"lr is a number or a pair [first, last], got {self.lr}")
        low, high = self.region_range
        if not self.smallest_cut <= low <= high:
            raise RecipeError(f"region must be at least the crop, low before high, got {self.region}")

    @property
    def lr_ends(self) -> Sequence[float]:
        """The first and the last learning rate."""
        return self.lr if isinstance(self.lr, Sequence) else (self.lr, self.lr)

    @property
    def region_range(self) -> tuple[int, int]:
        """The smallest and the largest region, in pixels."""
        region = self.region or (self.zoom[1] if self.zoom else self.crop)
        return (region, region) if isinstance(region, int) else (region[0], region[1])

    @property
    def smallest_cut(self) -> int:
        """The smallest side a photo may have, in pixels."""
        return self.zoom[0] if self.zoom else self.crop

    def lr_at(self, step: int) -> float:
        """The learning rate of a step of this phase, counted from 0."""
        first, last = self.lr_ends
        return last + (first - last) * (1 + math.cos(math.pi * step / self.steps)) / 2


@dataclass(frozen=True)
class Recipe:
    """What to train, on what, for how long. Recipes do not inherit from each other.

    Attributes:
        phase: the `[[phase]]` tables, in order.
        data: the `[[data]]` tables: dataset, degradation, weight, task.
        restorer: what is trained, built from `restorers/`; or
        learner: likewise, from `learners/`.
        validation: the `[[validation]]` tables: benchmark, limit (photos).
        validate_every, save_every: steps.
        average: how much of the averaged weights a step keeps; 0 publishes the last step's.
        clip: largest norm of the gradient.
        optimizer: "adam" or "adamw"; with `betas` and `weight_decay`.
        precision: "bf16" (autocast) or "fp32".
    """

    phase: Sequence[Phase]
    data: Sequence[Table]
    restorer: Table | None = None
    learner: Table | None = None
    validation: Sequence[Table] = field(default_factory=list)
    validate_every: int = 1000
    save_every: int = 500
    seed: int = 0
    average: float = 0.999
    clip: float = 1.0
    optimizer: str = "adamw"
    betas: Sequence[float] = (0.9, 0.999)
    weight_decay: float = 0.0
    precision: str = "bf16"

    def __post_init__(self) -> None:
        if (self.restorer is None) == (self.learner is None):
            raise RecipeError("a recipe has one [restorer] or one [learner]")
        if not self.phase or not self.data:
            raise RecipeError("a recipe needs at least one [[phase]] and one [[data]]")
        for name, value, known in (
            ("optimizer", self.optimizer, ("adam", "adamw")),
            ("precision", self.precision, ("bf16", "fp32")),
        ):
            if value not in known:
                raise RecipeError(f"{name} is one of {', '.join(known)}; got {value!r}")

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return sum(phase.steps for phase in self.phase)

    def place(self, step: int) -> tuple[Phase, int]:
        """The phase that a step falls into, and the step counted from that phase's start."""
        for phase in self.phase:
            if step < phase.steps:
                return phase, step
            step -= phase.steps
        raise IndexError(f"step is beyond the recipe's {self.steps}")

    @classmethod
    def read(cls, path: Path, settings: Sequence[str] = ()) -> Self:
        """Load a file, with `key=value` settings on top; every key must be a field.

        Args:
            path: a TOML file.
            settings: such as "average=0.99", "restorer.view=grid" or "phase.0.steps=10"; values are
                read as TOML, and as plain text where they are none.

        Raises:
            RecipeError: no such file, not TOML, or an unknown or missing key.
        """
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as problem:
            raise RecipeError(f"{path} cannot be read: {problem.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
            raise RecipeError(f"{path} is not TOML: {problem}") from None
        for setting in settings:
            _set(table, setting)
        return cls.parse(table, str(path))

    @classmethod
    def parse(cls, table: Mapping[str, Any], source: str) -> Self:
        """Make a recipe of a table; `source` names it in errors.

        Raises:
            RecipeError: an unknown or missing key.
        """
        try:
            phases = [_checked(Phase, phase) for phase in table.get("phase", [])]
            return _checked(cls, {**table, "phase": phases})
        except RecipeError as problem:
            raise RecipeError(f"{source}: {problem}") from None


def _checked(kind: type[Kind], table: Mapping[str, Any]) -> Kind:
    known = [entry.name for entry in fields(kind)]  # pyright: ignore[reportArgumentType] both are dataclasses
    if unknown := sorted(table.keys() - set(known)):
        raise RecipeError(f"unknown {', '.join(unknown)}; known: {', '.join(known)}")
    try:
        return kind(**table)
    except TypeError as problem:
        raise RecipeError(
            f"{kind.__name__.lower()}: {problem}".replace(f"{kind.__name__}.__init__() ", "")
        ) from None


def _set(table: Table, setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals:
        raise RecipeError(f"a setting looks like key=value, got {setting!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *path, last = key.split(".")
    place: Any = table
    try:
        for name in path:
            place = place[int(name)] if isinstance(place, list) else place.setdefault(name, {})
        place[int(last) if isinstance(place, list) else last] = value
    except (IndexError, ValueError, TypeError, AttributeError):
        raise RecipeError(f"there is no {key!r} in the recipe to set") from None
