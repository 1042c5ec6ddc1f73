"""From a restorer and a benchmark to the rows of a table, and from rows to means and their intervals."""

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from dino_ir.benchmark import Benchmark
from dino_ir.contracts import Metric, Restorer, Truth
from dino_ir.errors import ImageError
from dino_ir.inference import restore
from dino_ir.ops.peak import forget_peak, peak_memory
from dino_ir.protocol import OURS, Protocol

__all__ = [
    "METRICS",
    "Row",
    "Scored",
    "as_markdown",
    "compare",
    "evaluate",
    "interval",
    "mean",
    "restore_and_score",
    "score_image",
]

METRICS: Mapping[str, Metric] = MappingProxyType(OURS.metrics())
"""What tables show, by name, in the variants of our own protocol."""

_DRAWS = 2000
"""How often images are drawn anew: the ends of an interval are then steady to a twentieth of its width."""


@dataclass(frozen=True)
class Row:
    """The scores of one image, restored and as it came, and the seconds that restoring took.

    `is_told`: the restorer used what only a benchmark knows. `memory`: bytes at the peak of restoring.
    """

    image: str
    scores: dict[str, float]
    input_scores: dict[str, float]
    seconds: float
    is_told: bool = False
    memory: int | None = None


class Scored(NamedTuple):
    """One image of a benchmark, [3, H, W] in [0, 1], and its row."""

    row: Row
    degraded: Tensor
    restored: Tensor  # as it was scored
    clean: Tensor


def evaluate(
    restorer: Restorer,
    benchmark: Benchmark,
    metrics: Mapping[str, Metric] | None = None,
    tile: int | str = "auto",
    indices: Iterable[int] | None = None,
) -> Iterator[Row]:
    """Restore and score images of a benchmark, by its protocol: one row each, in order.

    All restorers get the same degraded images; before each, those that can use it are told the truth.

    Args:
        metrics: by name; None takes PSNR and SSIM in the protocol's variant.
        tile: as in `inference.restore`; a restorer that does not work in tiles gets the whole photo.
        indices: of the images; None takes all.
    """
    for index in range(len(benchmark.dataset)) if indices is None else indices:
        yield score_image(restorer, benchmark, index, metrics, tile).row


def score_image(
    restorer: Restorer,
    benchmark: Benchmark,
    index: int,
    metrics: Mapping[str, Metric] | None = None,
    tile: int | str = "auto",
) -> Scored:
    """Restore and score image `index` of a benchmark, as `evaluate` does, and keep its pictures."""
    metrics = benchmark.protocol.metrics() if metrics is None else metrics
    name, degraded, clean = benchmark.images(index)
    told = restorer.told(Truth(clean, benchmark.damage(index)))
    row, restored = restore_and_score(told, name, degraded, clean, metrics, tile, benchmark.protocol)
    return Scored(replace(row, is_told=told is not restorer), degraded, restored, clean)


def restore_and_score(
    restorer: Restorer,
    name: str,
    degraded: Tensor,
    clean: Tensor,
    metrics: Mapping[str, Metric],
    tile: int | str = "auto",
    protocol: Protocol = OURS,
) -> tuple[Row, Tensor]:
    """Restore one image, [3, H, W], and score it: its row, and the restored image as it was scored.

    Where the protocol rounds to 8 bits, as a saved file would be, the restored image is; the degraded one
    is scored as the restorer sees it.
    """
    device = next((weight.device for weight in restorer.parameters()), torch.device("cpu"))
    forget_peak(device)
    start = time.perf_counter()
    restored: Tensor = restore(restorer, degraded[None], tile=tile).cpu()
    seconds, memory = time.perf_counter() - start, peak_memory(device)
    restored = protocol.finish(restored)
    scores, input_scores = (
        compare(image, clean[None], metrics, protocol) for image in (restored, degraded[None])
    )
    return Row(name, scores, input_scores, seconds, memory=memory), restored[0]


def compare(
    image: Tensor, clean: Tensor, metrics: Mapping[str, Metric], protocol: Protocol = OURS
) -> dict[str, float]:
    """The scores of one image, [1, 3, H, W], by metric; NaN by those that it is too small for."""

    def score(metric: Metric) -> float:
        try:
            return float(metric(*protocol.view(image, clean)))
        except ImageError:
            return math.nan

    return {name: score(metric) for name, metric in metrics.items()}


def mean(rows: Sequence[Row], protocol: Protocol = OURS) -> Row:
    """The average over images: the number papers print. One infinite PSNR makes it infinite."""

    def average(tables: Sequence[Mapping[str, float]]) -> dict[str, float]:
        return {name: protocol.average(name, [table[name] for table in tables]) for name in tables[0]}

    return Row(
        "mean",
        average([row.scores for row in rows]),
        average([row.input_scores for row in rows]),
        fmean(row.seconds for row in rows),
        is_told=any(row.is_told for row in rows),
        memory=max((row.memory for row in rows if row.memory is not None), default=None),
    )


def interval(scores: Sequence[float]) -> tuple[float, float]:
    """Where the mean lies in 95 of 100 cases when images are drawn anew, with replacement, from these.

    The percentile bootstrap (Efron, The Annals of Statistics 1979), always with the same draws. It says
    how much of a difference may be the choice of photos; not what another set of photos would score.

    Returns:
        The two ends; NaN for fewer than two images, and for scores that are not finite.
    """
    values = torch.tensor(scores, dtype=torch.double)
    if len(values) < 2 or not values.isfinite().all():
        return math.nan, math.nan
    rng = torch.Generator().manual_seed(0)
    drawn = torch.randint(len(values), (_DRAWS, len(values)), generator=rng)
    low, high = values[drawn].mean(dim=1).quantile(torch.tensor([0.025, 0.975], dtype=torch.double)).tolist()
    return low, high


def as_markdown(results: Mapping[str, Sequence[Row]], protocols: Mapping[str, Protocol] | None = None) -> str:
    """A table, one line per title: how many images, then by every metric input, restored, its interval, gain.

    The title says so where the restorer was told what only a benchmark knows, and by which protocol scores
    were taken where it is not ours.

    Args:
        results: rows by title.
        protocols: by title; ours where there is none.
    """
    names = list(dict.fromkeys(name for rows in results.values() for name in rows[0].scores))
    heads = [head for name in names for head in _heads(name)]
    lines = [["benchmark", "images", *heads], ["---", *["---:"] * (len(heads) + 1)]]
    for title, rows in results.items():
        protocol = (protocols or {}).get(title, OURS)
        average = mean(rows, protocol)
        marks = [] if protocol == OURS else [f"by {protocol.name}"]
        marks += ["restorer told"] if average.is_told else []
        cells = [cell for name in names for cell in _cells(name, rows, average)]
        mark = f" ({', '.join(marks)})" if marks else ""
        lines.append([title + mark, str(len(rows)), *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _heads(name: str) -> tuple[str, ...]:
    word = name.upper().replace("_", "-")
    return f"input {word}", f"restored {word}", "95 %", f"gain in {word}"


def _cells(name: str, rows: Sequence[Row], average: Row) -> tuple[str, ...]:
    if name not in average.scores:
        return ("–",) * 4
    digits = 2 if name == "psnr" else 4
    before, after = average.input_scores[name], average.scores[name]
    low, high = interval([row.scores[name] for row in rows])
    return (
        "–" if math.isnan(before) else f"{before:.{digits}f}",
        "–" if math.isnan(after) else f"{after:.{digits}f}",
        f"{low:.{digits}f} to {high:.{digits}f}" if math.isfinite(low) else "–",
        f"{after - before:+.{digits}f}" if math.isfinite(after - before) else "–",
    )
