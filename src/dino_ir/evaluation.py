"""From a restorer and a benchmark to the rows of a table."""

import csv
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from types import MappingProxyType

from torch import Tensor

from dino_ir.benchmark import Benchmark
from dino_ir.catalog import build, names
from dino_ir.contracts import Metric, Restorer, Truth
from dino_ir.inference import restore
from dino_ir.ops.color import round_to_8_bits

__all__ = [
    "METRICS",
    "Row",
    "as_markdown",
    "evaluate",
    "mean",
    "restore_and_score",
    "write_results",
    "write_rows",
]

METRICS: Mapping[str, Metric] = MappingProxyType(
    {name: build("metrics", {"name": name}) for name in names("metrics")}
)
"""What tables show: every metric there is, by name."""


@dataclass(frozen=True)
class Row:
    """The scores of one image, restored and as it came, and the seconds that restoring took.

    `is_told`: the restorer used what only a benchmark knows.
    """

    image: str
    scores: dict[str, float]
    input_scores: dict[str, float]
    seconds: float
    is_told: bool = False


def evaluate(
    restorer: Restorer,
    benchmark: Benchmark,
    metrics: Mapping[str, Metric],
    tile: int | str = "auto",
) -> Iterator[Row]:
    """Restore and score every image of a benchmark, one row each, in order.

    All restorers get the same degraded images; before each, those that can use it are told the truth.

    Args:
        tile: as in `inference.restore`; a restorer that does not work in tiles gets the whole photo.
    """
    tile = tile if restorer.works_in_tiles else "off"
    for index in range(len(benchmark.dataset)):
        name, degraded, clean = benchmark.images(index)
        told = restorer.told(Truth(clean, benchmark.damage(index)))
        row, _ = restore_and_score(told, name, degraded, clean, metrics, tile)
        yield replace(row, is_told=told is not restorer)


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
    seconds = fmean(row.seconds for row in rows)
    return Row("mean", scores, input_scores, seconds, is_told=any(row.is_told for row in rows))


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Write a CSV file, one line per image: its name, scores, input scores, seconds, and told (yes or no)."""
    with path.open("w", newline="", encoding="utf-8") as file:
        names = list(rows[0].scores)
        writer = csv.writer(file)
        writer.writerow(["image", *names, *(f"input_{name}" for name in names), "seconds", "told"])
        for row in rows:
            numbers = [*(row.scores[name] for name in names), *(row.input_scores[name] for name in names)]
            told = "yes" if row.is_told else "no"
            writer.writerow([row.image, *(f"{number:.6f}" for number in numbers), f"{row.seconds:.3f}", told])


def write_results(results: Mapping[str, Sequence[Row]], table: str, folder: Path) -> None:
    """Write the rows of each benchmark, by name, as a CSV file, and their table as `table.md`.

    Args:
        results: rows by the benchmark's name, which becomes the file's: from `read_benchmarks`.
        table: from `as_markdown`.
        folder: where to; it is made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in results.items():
        write_rows(rows, folder / f"{name}.csv")
    (folder / "table.md").write_text(table + "\n", encoding="utf-8")


def as_markdown(results: Mapping[str, Sequence[Row]]) -> str:
    """A table, one line per title: how many images, then input, restored and gain by every metric.

    The title says so where the restorer was told what only a benchmark knows.
    """
    names = list(next(iter(results.values()))[0].scores)
    heads = [f"{word} {name.upper()}" for name in names for word in ("input", "restored", "gain in")]
    lines = [["benchmark", "images", *heads], ["---", *["---:"] * (len(heads) + 1)]]
    for title, rows in results.items():
        average = mean(rows)
        cells = [_cells(name, average.input_scores[name], average.scores[name]) for name in names]
        mark = " (restorer told)" if average.is_told else ""
        lines.append([title + mark, str(len(rows)), *(cell for three in cells for cell in three)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(name: str, before: float, after: float) -> tuple[str, str, str]:
    decimals = 2 if name == "psnr" else 4
    both_finite = math.isfinite(before) and math.isfinite(after)
    return (
        f"{before:.{decimals}f}",
        f"{after:.{decimals}f}",
        f"{after - before:+.{decimals}f}" if both_finite else "–",
    )
