"""From a restorer and a benchmark to the rows of a table.

A benchmark is a TOML file: `title`, `task`, `seed`, a `dataset` table and, where the dataset has clean
photos only, a `degradation` table. The ones that come with the package are in `benchmarks/`.
"""

import csv
import math
import os
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, cast

from torch import Tensor

from dino_ir.catalog import build
from dino_ir.contracts import Dataset, Degradation, Metric, Restorer
from dino_ir.errors import DataError, RecipeError
from dino_ir.inference import restore
from dino_ir.ops.color import round_to_8_bits, to_float
from dino_ir.ops.random import seeded

__all__ = [
    "Benchmark",
    "Row",
    "as_markdown",
    "benchmark_names",
    "evaluate",
    "mean",
    "read_benchmark",
    "restore_and_score",
    "with_root",
    "write_results",
    "write_rows",
]

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
            # A generator on the CPU heeds the lowest 32 bits of its seed alone, so both must fit into them.
            rng = seeded(self.seed, index)
            parameters = self.degradation.draw(rng)
            depths = None if depth is None else depth[None]
            degraded = self.degradation.apply(clean[None], [parameters], depths)[0]
        if degraded is None:
            raise DataError(f"{name} has no degraded image, and {self.title!r} has no degradation")
        return name, to_float(degraded), clean


@dataclass(frozen=True)
class Row:
    """The scores of one image, restored and as it came, and the seconds that restoring took."""

    image: str
    scores: dict[str, float]
    input_scores: dict[str, float]
    seconds: float


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
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = _SHIPPED / f"{name_or_path}.toml"
    if not path.is_file():
        raise RecipeError(f"no benchmark {str(name_or_path)!r}; there are: {', '.join(benchmark_names())}")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise RecipeError(f"{path} is not TOML: {problem}") from None
    _check(table, path)
    degradation = build("degradations", table["degradation"]) if "degradation" in table else None
    dataset = build("datasets", with_root(table["dataset"], data))
    return Benchmark(table["title"], table["task"], dataset, degradation, table.get("seed", 0))


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


def evaluate(
    restorer: Restorer,
    benchmark: Benchmark,
    metrics: Mapping[str, Metric],
    tile: int | str = "auto",
) -> Iterator[Row]:
    """Restore and score every image of a benchmark, one row each, in order.

    Args:
        tile: as in `inference.restore`.
    """
    for index in range(len(benchmark.dataset)):
        row, _ = restore_and_score(restorer, *benchmark.images(index), metrics, tile)
        yield row


def restore_and_score(
    restorer: Restorer,
    name: str,
    degraded: Tensor,
    clean: Tensor,
    metrics: Mapping[str, Metric],
    tile: int | str = "auto",
) -> tuple[Row, Tensor]:
    """Restore one image, [3, H, W], and score it: its row, and the restored image.

    The restored image is rounded to 8 bits before it is scored, as a saved file would be; the degraded
    one is scored as the restorer sees it.
    """
    start = time.perf_counter()
    restored: Tensor = restore(restorer, degraded[None], tile=tile).cpu()
    seconds = time.perf_counter() - start
    restored = round_to_8_bits(restored)

    def score(image: Tensor) -> dict[str, float]:
        return {key: float(metric(image, clean[None])) for key, metric in metrics.items()}

    return Row(name, score(restored), score(degraded[None]), seconds), restored[0]


def mean(rows: Sequence[Row]) -> Row:
    """The average over images: the number papers print. One infinite PSNR makes it infinite."""

    def average(tables: Sequence[Mapping[str, float]]) -> dict[str, float]:
        return {name: fmean(table[name] for table in tables) for name in tables[0]}

    scores, input_scores = average([row.scores for row in rows]), average([row.input_scores for row in rows])
    return Row("mean", scores, input_scores, fmean(row.seconds for row in rows))


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Write a CSV file, one line per image: its name, scores, input scores and seconds."""
    with path.open("w", newline="", encoding="utf-8") as file:
        names = list(rows[0].scores)
        writer = csv.writer(file)
        writer.writerow(["image", *names, *(f"input_{name}" for name in names), "seconds"])
        for row in rows:
            numbers = [*(row.scores[name] for name in names), *(row.input_scores[name] for name in names)]
            writer.writerow([row.image, *(f"{number:.6f}" for number in numbers), f"{row.seconds:.3f}"])


def write_results(results: Mapping[str, Sequence[Row]], table: str, folder: Path) -> None:
    """Write the rows of each benchmark, by name, as a CSV file, and their table as `table.md`.

    Args:
        results: rows by the benchmark's name; of a path, the file's name counts.
        table: from `as_markdown`.
        folder: where to; it is made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in results.items():
        write_rows(rows, folder / f"{Path(name).stem}.csv")
    (folder / "table.md").write_text(table + "\n", encoding="utf-8")


def as_markdown(results: Mapping[str, Sequence[Row]]) -> str:
    """A table, one line per title: how many images, then input, restored and gain by every metric."""
    names = list(next(iter(results.values()))[0].scores)
    heads = [f"{word} {name.upper()}" for name in names for word in ("input", "restored", "gain in")]
    lines = [["benchmark", "images", *heads], ["---", *["---:"] * (len(heads) + 1)]]
    for title, rows in results.items():
        average = mean(rows)
        cells = [_cells(name, average.input_scores[name], average.scores[name]) for name in names]
        lines.append([title, str(len(rows)), *(cell for three in cells for cell in three)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(name: str, before: float, after: float) -> tuple[str, str, str]:
    decimals = 2 if name == "psnr" else 4
    both_finite = math.isfinite(before) and math.isfinite(after)
    return (
        f"{before:.{decimals}f}",
        f"{after:.{decimals}f}",
        f"{after - before:+.{decimals}f}" if both_finite else "–",
    )


def _check(table: Mapping[str, Any], path: Path) -> None:
    for key, value in table.items():
        if key not in _KEYS:
            raise RecipeError(f"{path}: unknown key {key!r}; there are: {', '.join(_KEYS)}")
        if not isinstance(value, _KEYS[key]):
            raise RecipeError(f"{path}: {key} must be a {_KEYS[key].__name__}, got {value!r}")
    for key in sorted(_KEYS.keys() - _OPTIONAL - table.keys()):
        raise RecipeError(f"{path}: {key} is missing")


def _data_folder(data: Path | None) -> Path:
    folder = data or Path(os.environ.get("DINO_IR_DATA", ""))
    if folder == Path():
        raise DataError("no data folder: give --data DIR or set DINO_IR_DATA")
    if not folder.is_dir():
        raise DataError(f"no folder {folder}: give --data DIR or set DINO_IR_DATA")
    return folder
