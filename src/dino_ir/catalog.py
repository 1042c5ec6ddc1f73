"""Parts by name: the folder is the register.

`build("networks", {"name": "restormer", "dim": 32})` imports `dino_ir/networks/restormer.py` and calls
the one class it exports. To add a part, add a file.
"""

import importlib
import inspect
import pkgutil
import tomllib
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, cast, get_args

from dino_ir.errors import RecipeError

__all__ = ["SHELVES", "build", "find", "names", "read_table", "summary"]

SHELVES = (
    "datasets",
    "degradations",
    "fusion",
    "learners",
    "metrics",
    "networks",
    "priors",
    "restorers",
)
"""The folders whose files are parts that a recipe may name."""

_SHELF_OF = {
    "dataset": "datasets",
    "degradation": "degradations",
    "metric": "metrics",
    "network": "networks",
    "prior": "priors",
    "restorer": "restorers",
}
"""`network = { name = ... }` is built from `networks/`; `networks = [...]` is a list of such tables."""


_WORDS: Mapping[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    Sequence[int]: "a list of whole numbers",
    Sequence[float]: "a list of numbers",
}


def names(shelf: str) -> list[str]:
    """The parts on a shelf, in alphabetical order.

    Raises:
        RecipeError: no such shelf.
    """
    if shelf not in SHELVES:
        raise RecipeError(f"no shelf {shelf!r}; there are: {', '.join(SHELVES)}")
    package = importlib.import_module(f"dino_ir.{shelf}")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


def find(shelf: str, name: str) -> Any:
    """The part that `dino_ir/<shelf>/<name>.py` exports.

    Raises:
        RecipeError: no such file; the message lists the names there are.
    """
    if name not in names(shelf):
        raise RecipeError(f"no {name!r} in {shelf}/; there are: {', '.join(names(shelf))}")
    module = importlib.import_module(f"dino_ir.{shelf}.{name}")
    (export,) = module.__all__
    return getattr(module, export)


def summary(shelf: str, name: str) -> str:
    """The first line of a part's docstring."""
    return (inspect.getdoc(find(shelf, name)) or "").partition("\n")[0]


def build(shelf: str, table: Mapping[str, Any]) -> Any:
    """Build one part; tables inside it are parts too, and are built first.

    Raises:
        RecipeError: unknown name, an option the part does not take, or a value it refuses.
    """
    if "name" not in table:
        raise RecipeError(f"a table for {shelf}/ needs a name; there are: {', '.join(names(shelf))}")
    options = {key: _option(key, value) for key, value in table.items() if key != "name"}
    part = find(shelf, table["name"])
    signature = inspect.signature(part)
    try:
        signature.bind(**options)
    except TypeError as problem:
        takes = ", ".join(signature.parameters) or "nothing"
        raise RecipeError(f"{shelf}/{table['name']}: {problem} (it takes: {takes})") from None
    for key, parameter in signature.parameters.items():
        if isinstance(options.get(key), str) and (wanted := _wanted(parameter.annotation)):
            raise RecipeError(f"{shelf}/{table['name']}: {key}: expected {wanted}, got {options[key]!r}")
    try:
        return part(**options)
    except ValueError as problem:  # a value that the part refuses
        raise RecipeError(f"{shelf}/{table['name']}: {problem}") from problem
    except TypeError as problem:  # a value of a wrong type, which Python says without the option's name
        given = ", ".join(f"{key} = {value!r}" for key, value in options.items())
        raise RecipeError(f"{shelf}/{table['name']}: {problem} (given: {given})") from problem


def read_table(text: str) -> dict[str, Any]:
    """The table of one part, from what a user calls it on a command line.

    Args:
        text: a name, such as "haze", or a TOML table with options: '{name="rain", strength="heavy"}'.

    Raises:
        RecipeError: a table that is not TOML.
    """
    if not text.startswith("{"):
        return {"name": text}
    try:
        return tomllib.loads(f"table = {text}")["table"]
    except tomllib.TOMLDecodeError as problem:
        raise RecipeError(f"{text} is not a TOML table: {problem}") from None


def _wanted(annotation: Any) -> str:
    """What an option takes, in words; "" where it may be text, or what text stands for."""
    kinds = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    words = [_WORDS.get(kind, "") for kind in kinds if kind is not NoneType]
    return " or ".join(words) if all(words) else ""


def _option(key: str, value: Any) -> Any:
    if key in _SHELF_OF and isinstance(value, Mapping):
        return build(_SHELF_OF[key], cast(Mapping[str, Any], value))
    if key in _SHELF_OF.values():
        return [build(key, table) for table in value]
    return value
