"""A recipe is one TOML file that says everything about one training run."""

import json
import math
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self, TypeVar

from dino_ir.errors import RecipeError

__all__ = ["Phase", "Recipe"]

Table = dict[str, Any]
Kind = TypeVar("Kind")


def _is_whole(value: Any, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**63


def _is_number(value: Any, most: float = sys.float_info.max) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most


def _is_pair(value: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(fits, value))


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_COUNT = (_is_whole, "a whole number of at least 1")
_PART = (_is_table, "a table with the name of a part and its options")

_Rules = Mapping[str, tuple[Callable[[Any], bool], str]]
"""What the value of each key must be: a test, and the words for it. `None`, a default, needs no test."""

_PHASE: _Rules = {
    **dict.fromkeys(("steps", "batch", "crop", "crops"), _COUNT),
    "lr": (lambda v: _is_number(v) or _is_pair(v, _is_number), "a number or a pair [first, last], from 0"),
    "region": (
        lambda v: _is_whole(v) or _is_pair(v, _is_whole),
        "a whole number or a pair [low, high] of them, from 1",
    ),
    "zoom": (
        lambda v: _is_pair(v, _is_whole) and v[0] <= v[1],
        "a pair [low, high] of whole numbers, from 1",
    ),
}
_RECIPE: _Rules = {
    "restorer": _PART,
    "learner": _PART,
    "validate_every": _COUNT,
    "save_every": _COUNT,
    "seed": (lambda v: _is_whole(v, 0), "a whole number from 0"),
    "average": (lambda v: _is_number(v, 1), "a number from 0 to 1"),
    "clip": (lambda v: _is_number(v, math.inf) and v > 0, "a number above 0"),
    "optimizer": (lambda v: v in ("adam", "adamw", "muon"), "one of adam, adamw, muon"),
    "betas": (
        lambda v: _is_pair(v, lambda b: _is_number(b, 1) and b < 1),
        "a pair of numbers from 0, below 1",
    ),
    "weight_decay": (_is_number, "a number from 0"),
    "precision": (lambda v: v in ("bf16", "fp32"), "one of bf16, fp32"),
    "learns": (lambda v: isinstance(v, list | tuple) and all(map(_is_text, v)), "a list of names"),
}
_DATA: _Rules = {
    "dataset": _PART,
    "degradation": _PART,
    "weight": (lambda v: _is_number(v) and v > 0, "a number above 0"),
}
_DATASET: _Rules = {"root": (_is_text, "the text of a path")}
_VALIDATION: _Rules = {
    "benchmark": (_is_text, "the name of a benchmark or of its file"),
    "limit": _COUNT,
}


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
        _check_values(vars(self), _PHASE)
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
        data: the `[[data]]` tables: dataset, degradation, weight (how often it is drawn, relative to others).
        restorer: what is trained, built from `restorers/`; or
        learner: likewise, from `learners/`.
        validation: the `[[validation]]` tables: benchmark, limit (photos).
        validate_every, save_every: steps.
        average: how much of the averaged weights a step keeps; 0 publishes the last step's.
        clip: largest norm of the gradient.
        optimizer: "adam", "adamw", or "muon" (see `optimizers`); with `betas` and `weight_decay`.
        precision: "bf16" (autocast) or "fp32".
        learns: names of the parts that learn, such as "network" or "level_fusion.gain"; the others stay as
            they began. All learn if none is named.
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
    learns: Sequence[str] = ()

    def __post_init__(self) -> None:
        if (self.restorer is None) == (self.learner is None):
            raise RecipeError("a recipe has one [restorer] or one [learner]")
        if not self.phase or not self.data:
            raise RecipeError("a recipe needs at least one [[phase]] and one [[data]]")
        _check_values(vars(self), _RECIPE)
        _check_tables("data", self.data, _DATA, "dataset")
        for number, table in enumerate(self.data):
            _check_values(table["dataset"], _DATASET, f"data.{number}.dataset.")
        _check_tables("validation", self.validation, _VALIDATION, "benchmark")

    @property
    def subject(self) -> tuple[str, Table]:
        """What is trained: its shelf and its table."""
        return ("restorers", self.restorer) if self.restorer is not None else ("learners", self.learner or {})

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

    def changes_since(self, saved: Mapping[str, Any]) -> list[str]:
        """What differs in the recipe that an earlier run kept; a field it lacks was as it is by default."""
        own = json.loads(json.dumps(asdict(self)))  # JSON makes lists of tuples
        before = json.loads(json.dumps({**{name: getattr(Recipe, name, None) for name in own}, **saved}))
        return [name for name in own if own[name] != before[name]]

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
            phases = [
                _make(Phase, phase, f"phase.{number}: ")
                for number, phase in enumerate(_list_of_tables("phase", table.get("phase", [])))
            ]
            return _make(cls, {**table, "phase": phases})
        except RecipeError as problem:
            raise RecipeError(f"{source}: {problem}") from None


def _make(kind: type[Kind], table: Mapping[str, Any], place: str = "") -> Kind:
    known = {entry.name: entry for entry in fields(kind)}  # pyright: ignore[reportArgumentType] both are dataclasses
    needed = [
        name for name, entry in known.items() if entry.default is MISSING and entry.default_factory is MISSING
    ]
    _check_keys(table, list(known), needed, place)
    try:
        return kind(**table)
    except RecipeError as problem:
        raise RecipeError(f"{place}{problem}") from None


def _check_tables(name: str, tables: Any, rules: _Rules, needed: str) -> None:
    for number, table in enumerate(_list_of_tables(name, tables)):
        _check_keys(table, list(rules), [needed], f"{name}.{number}: ")
        _check_values(table, rules, f"{name}.{number}.")


def _list_of_tables(name: str, tables: Any) -> list[Table]:
    if not isinstance(tables, list) or not all(map(_is_table, tables)):
        raise RecipeError(f"{name} is a list of tables: write [[{name}]] above each")
    return tables


def _check_keys(table: Mapping[str, Any], known: Sequence[str], needed: Sequence[str], place: str) -> None:
    if unknown := sorted(table.keys() - set(known)):
        raise RecipeError(f"{place}unknown {', '.join(unknown)}; known: {', '.join(known)}")
    if missing := [name for name in needed if name not in table]:
        raise RecipeError(f"{place}{', '.join(missing)} is missing")


def _check_values(table: Mapping[str, Any], rules: _Rules, place: str = "") -> None:
    for name, (fits, expected) in rules.items():
        value = table.get(name)
        if value is not None and not fits(value):
            raise RecipeError(f"{place}{name} is {expected}; got {value!r}")


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
