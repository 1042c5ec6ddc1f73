"""A table of a paper or of our own, as data: what is compared, on which benchmarks, and what was published.

An experiment is a TOML file: `title`, `columns`, a table for each scale it can be run at (`small`, `paper`),
the `[[arm]]`s that are compared, and the name of what others printed under the same columns (`reported`).
The ones that come with the package are in `tables/`. No table has code of its own.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, cast

from dino_ir.errors import RecipeError

__all__ = ["Arm", "Experiment", "experiment_names", "read_experiment"]

_SCALES = ("smoke", "small", "paper")  # each is in `commands.reproduce.Scale`, with what it means

_SHIPPED = Path(__file__).parent / "tables"
_REPORTED = Path(__file__).parent / "reported"

_Rules = Mapping[str, tuple[Callable[[Any], bool], str]]  # by key, what is right, and that in words


def _is_list(value: Any, is_right: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and all(map(is_right, cast(list[Any], value)))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _is_whole(value: Any, low: int) -> bool:
    return type(value) is int and value >= low


_TEXT = (_is_text, "a text")
_TEXTS = (lambda v: _is_list(v, _is_text), 'a list of texts, such as ["one", "other"]')
_TABLE = (_is_table, "a table")
_SEEDS = (
    lambda v: v != [] and _is_list(v, lambda seed: _is_whole(seed, 0)),
    "a list of whole numbers, such as [0, 1, 2]",
)
_TILE = (lambda v: v in ("auto", "off") or _is_whole(v, 1), '"auto", "off" or a number of pixels')
_ARMS = (lambda v: _is_list(v, _is_table), "tables, each below [[arm]]")

_KEYS: _Rules = {
    **dict.fromkeys(("title", "control", "reported"), _TEXT),
    **dict.fromkeys(("columns", "notes"), _TEXTS),
    **dict.fromkeys(("small", "paper"), _TABLE),
    "arm": _ARMS,
}
_SCALE_KEYS: _Rules = {
    **dict.fromkeys(("benchmarks", "settings", "notes"), _TEXTS),
    "recipe": _TEXT,
    "seeds": _SEEDS,
    "tile": _TILE,
}
_ARM_KEYS: _Rules = {
    **dict.fromkeys(("name", "title"), _TEXT),
    **dict.fromkeys(("small", "paper"), _TABLE),
}
_PART_KEYS: _Rules = {
    **dict.fromkeys(("title", "recipe", "run", "weights"), _TEXT),
    "settings": _TEXTS,
    "restorer": _TABLE,
}


class Arm(NamedTuple):
    """One of the things that are compared: trained by a recipe, or taken as it is.

    Attributes:
        name: in files and folders.
        title: in tables.
        recipe: stem of its file; None where nothing is trained.
        settings: changes to the recipe, as `Recipe.read` takes them.
        run: folder of its runs, one for each seed, below that of all runs; arms of two tables may share it.
        weights: a name or a file, for what is not trained here.
        restorer: or the table of a restorer that needs no weights.
    """

    name: str
    title: str
    recipe: str | None = None
    settings: Sequence[str] = ()
    run: str = ""
    weights: str | None = None
    restorer: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Experiment:
    """An experiment at one scale.

    Attributes:
        columns: what the benchmarks are called in the table, one each.
        benchmarks: as `benchmark.read_benchmarks` takes them.
        control: name of the arm that the others are compared with.
        tile: as in `inference.restore`.
        reported: name of a table in `reported/` with as many columns, or "".
    """

    name: str
    scale: str
    title: str
    columns: Sequence[str]
    benchmarks: Sequence[str]
    control: str
    arms: Sequence[Arm]
    seeds: Sequence[int] = (0,)
    tile: int | str = "auto"
    notes: Sequence[str] = ()
    reported: str = ""

    @property
    def names(self) -> list[str]:
        """Of the benchmarks: those of their files, without `.toml`."""
        return [Path(benchmark).stem for benchmark in self.benchmarks]

    def compared_with(self, control: str) -> "Experiment":
        """The same with another arm as the control.

        Raises:
            RecipeError: no such arm, or one that is not trained and so has no seeds to pair with others'.
        """
        trained = [arm.name for arm in self.arms if arm.recipe is not None]
        if control not in trained:
            known = ", ".join(trained)
            raise RecipeError(f"no arm {control!r} that is trained, to compare with; there are: {known}")
        return replace(self, control=control)


def experiment_names() -> list[str]:
    """The experiments that come with the package, in alphabetical order."""
    return sorted(path.stem for path in _SHIPPED.glob("*.toml"))


def read_experiment(name_or_path: str | Path, scale: str) -> Experiment:
    """Read an experiment that comes with the package, or one from a TOML file, as it is at a scale.

    Args:
        name_or_path: one of `experiment_names()`, or a file that ends in `.toml`.
        scale: "smoke" (the smallest other one that there is, with two seeds at most), "small" or "paper".

    Raises:
        RecipeError: no such experiment, scale or reported table, or a key that is wrong or missing.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = _SHIPPED / f"{name_or_path}.toml"
    if not path.is_file():
        known = ", ".join(experiment_names())
        raise RecipeError(f"no experiment {str(name_or_path)!r}; there are: {known}")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return _parse(table, path.stem, scale)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise RecipeError(f"{path} is not TOML: {problem}") from None
    except RecipeError as problem:
        raise RecipeError(f"{path}: {problem}") from None


def _parse(table: Mapping[str, Any], name: str, scale: str) -> Experiment:
    _check(table, _KEYS, {"title", "columns", "control", "arm"}, "")
    scales = [each for each in _SCALES if each in table]
    if scale not in _SCALES or (scale != "smoke" and scale not in scales):
        raise RecipeError(f"it has no scale {scale!r}; it has: {', '.join(['smoke', *scales])}")
    if not scales:
        raise RecipeError("it has neither [small] nor [paper]")
    chosen = scales[0] if scale == "smoke" else scale
    at_scale = table[chosen]
    _check(at_scale, _SCALE_KEYS, {"benchmarks"}, f"{chosen}.")
    arms = [_arm(arm, chosen, at_scale, name) for arm in table["arm"] if chosen in arm]
    experiment = Experiment(
        name,
        scale,
        table["title"],
        columns=table["columns"],
        benchmarks=at_scale["benchmarks"],
        control=table["control"],
        arms=arms,
        seeds=at_scale.get("seeds", [0])[: 2 if scale == "smoke" else None],
        tile=at_scale.get("tile", "auto"),
        notes=[*table.get("notes", []), *at_scale.get("notes", [])],
        reported=table.get("reported", ""),
    )
    _check_fit(experiment)
    if experiment.reported:
        _check_reported(experiment.reported, len(experiment.columns))
    return experiment


def _arm(table: Mapping[str, Any], scale: str, at_scale: Mapping[str, Any], experiment: str) -> Arm:
    _check(table, _ARM_KEYS, {"name", "title"}, "arm: ")
    name, part = table["name"], table[scale]
    _check(part, _PART_KEYS, set(), f"arm {name}, {scale}: ")
    title = part.get("title", table["title"])
    if "weights" in part or "restorer" in part:
        return Arm(name, title, weights=part.get("weights"), restorer=part.get("restorer"))
    recipe = part.get("recipe", at_scale.get("recipe"))
    if recipe is None:
        raise RecipeError(f"arm {name}, {scale}: a recipe, weights or a restorer is missing")
    settings = (*at_scale.get("settings", []), *part.get("settings", []))
    return Arm(name, title, recipe, settings, part.get("run", f"{experiment}/{name}"))


def _check(table: Mapping[str, Any], rules: _Rules, needed: set[str], place: str) -> None:
    if unknown := sorted(table.keys() - rules.keys()):
        raise RecipeError(f"{place}unknown {', '.join(unknown)}; known: {', '.join(sorted(rules))}")
    if missing := sorted(needed - table.keys()):
        raise RecipeError(f"{place}{', '.join(missing)} is missing")
    for key, value in table.items():
        is_right, words = rules[key]
        if not is_right(value):
            raise RecipeError(f"{place}{key}: expected {words}, got {value!r}")


def _check_fit(experiment: Experiment) -> None:
    columns, names = len(experiment.columns), [arm.name for arm in experiment.arms]
    if len(experiment.benchmarks) != columns:
        raise RecipeError(f"{len(experiment.benchmarks)} benchmarks do not fit {columns} columns")
    if experiment.control not in names or len(set(names)) < len(names):
        raise RecipeError(f"the control is one of different arms; got {experiment.control!r} of {names}")


def _check_reported(name: str, columns: int) -> None:
    known = sorted(path.stem for path in _REPORTED.glob("*.toml"))
    if name not in known:
        raise RecipeError(f"no reported table {name!r}; there are: {', '.join(known)}")
    table = tomllib.loads((_REPORTED / f"{name}.toml").read_text(encoding="utf-8"))
    if len(table["benchmarks"]) != columns:
        raise RecipeError(f"the {len(table['benchmarks'])} columns of {name} do not fit {columns} columns")
