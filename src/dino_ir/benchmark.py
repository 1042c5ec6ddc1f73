"""Photos to score a restorer on, and the damage each of them gets.

A benchmark is a TOML file: `title`, `task`, `seed`, a `dataset` table and, where the dataset has clean
photos only, a `degradation` table. The ones that come with the package are in `benchmarks/`.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from dino_ir.catalog import build
from dino_ir.contracts import Dataset, Degradation, Parameters
from dino_ir.degradations.chain import Chain
from dino_ir.degradations.choice import Choice
from dino_ir.errors import DataError, RecipeError
from dino_ir.ops.color import to_float
from dino_ir.ops.random import seeded

__all__ = ["Benchmark", "benchmark_names", "read_benchmark", "read_benchmarks", "with_root"]

_SHIPPED = Path(__file__).parent / "benchmarks"
_KEYS = {"title": str, "task": str, "seed": int, "dataset": dict, "degradation": dict}
_OPTIONAL = {"seed", "degradation"}


@dataclass(frozen=True)
class Benchmark:
    """Photos, and the damage each of them gets."""

    title: str
    task: str
    dataset: Dataset
    degradation: Degradation | None = None
    seed: int = 0

    def images(self, index: int) -> tuple[str, Tensor, Tensor]:
        """The name of image `index`, and it degraded and clean, as floats.

        The damage depends on the seed and the index alone.

        Raises:
            DataError: the dataset has no degraded image, and the benchmark has no degradation.
        """
        name, clean, degraded, depth = self.dataset[index]
        clean = to_float(clean)
        if self.degradation is not None:
            parameters = self.degradation.draw(seeded(self.seed, index))
            depths = None if depth is None else depth[None]
            degraded = self.degradation.apply(clean[None], [parameters], depths)[0]
        if degraded is None:
            raise DataError(f"{name} has no degraded image, and {self.title!r} has no degradation")
        return name, to_float(degraded), clean

    def damage(self, index: int) -> list[tuple[Degradation, Parameters]]:
        """What image `index` suffers, one degradation after the other; empty if the dataset has it so."""
        if self.degradation is None:
            return []
        return list(_parts(self.degradation, self.degradation.draw(seeded(self.seed, index))))


def benchmark_names() -> list[str]:
    """The benchmarks that come with the package, in alphabetical order."""
    return sorted(path.stem for path in _SHIPPED.glob("*.toml"))


def read_benchmark(name_or_path: str | Path, data: Path | None = None) -> Benchmark:
    """Read a benchmark that comes with the package, or one from a TOML file.

    Args:
        name_or_path: one of `benchmark_names()`, or a file that ends in `.toml`.
        data: see `with_root`.

    Raises:
        RecipeError: no such benchmark, or one with a key or a part that is wrong.
        DataError: the folder of pictures is missing.
    """
    path = _find(name_or_path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise RecipeError(f"{path} is not TOML: {problem}") from None
    _check(table, path)
    degradation = build("degradations", table["degradation"]) if "degradation" in table else None
    dataset = build("datasets", with_root(table["dataset"], data))
    return Benchmark(table["title"], table["task"], dataset, degradation, table.get("seed", 0))


def read_benchmarks(names: Sequence[str | Path], data: Path | None = None) -> dict[str, Benchmark]:
    """Read benchmarks, by the names of their files without `.toml`; one that is named twice is read once.

    Args:
        names: each as in `read_benchmark`.
        data: see `with_root`.

    Raises:
        RecipeError: as `read_benchmark`, or two files of one name or title: tables could not tell them apart.
        DataError: a folder of pictures is missing.
    """
    read: dict[str, Benchmark] = {}
    titled: dict[str, Path] = {}
    for path in {path.resolve(): path for path in map(_find, names)}.values():
        if path.stem in read:
            raise RecipeError(f"two benchmarks have the name {path.stem!r}: rename {path}")
        benchmark = read[path.stem] = read_benchmark(path, data)
        other = titled.setdefault(benchmark.title, path)
        if other is not path:
            raise RecipeError(f"{other} and {path} have one title, {benchmark.title!r}: change one")
    return read


def with_root(table: Mapping[str, Any], data: Path | None = None) -> dict[str, Any]:
    """Put the data folder before every relative `root` in a dataset's table and the tables inside it.

    Args:
        table: a dataset as a recipe or a benchmark writes it; it stays as it is.
        data: the data folder; None means the environment's DINO_IR_DATA.

    Raises:
        DataError: a root is relative and there is no data folder.
    """

    def complete(key: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return with_root(cast(Mapping[str, Any], value), data)
        if isinstance(value, list):
            return [complete("", one) for one in cast(list[Any], value)]
        if key == "root" and not Path(value).is_absolute():
            return str(_data_folder(data) / value)
        return value

    return {key: complete(key, value) for key, value in table.items()}


def _parts(degradation: Degradation, parameters: Parameters) -> Iterator[tuple[Degradation, Parameters]]:
    """Look into degradations that are made of others, for those that do damage themselves."""
    if isinstance(degradation, Chain):
        for part, each in zip(degradation.degradations, parameters["parts"]):
            yield from _parts(part, each)
    elif isinstance(degradation, Choice):
        yield from _parts(degradation.degradations[parameters["choice"]], parameters["part"])
    else:
        yield degradation, parameters


def _find(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = _SHIPPED / f"{name_or_path}.toml"
    if not path.is_file():
        raise RecipeError(f"no benchmark {str(name_or_path)!r}; there are: {', '.join(benchmark_names())}")
    return path


def _check(table: Mapping[str, Any], path: Path) -> None:
    for key, value in table.items():
        if key not in _KEYS:
            raise RecipeError(f"{path}: unknown key {key!r}; there are: {', '.join(_KEYS)}")
        if not isinstance(value, _KEYS[key]):
            raise RecipeError(f"{path}: {key} must be a {_KEYS[key].__name__}, got {value!r}")
    for key in sorted(_KEYS.keys() - _OPTIONAL - table.keys()):
        raise RecipeError(f"{path}: {key} is missing")


def _data_folder(data: Path | None) -> Path:
    named = str(data or os.environ.get("DINO_IR_DATA", ""))
    if not named:
        raise DataError("no data folder: give --data DIR or set DINO_IR_DATA")
    folder = Path(named)
    if not folder.is_dir():
        raise DataError(f"no folder {folder}: give --data DIR or set DINO_IR_DATA")
    return folder
