"""From the scores of arms, seeds, benchmarks and images to means, and to differences from a control."""

import csv
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from dino_ir.errors import DataError
from dino_ir.experiment import Experiment
from dino_ir.reported import Reported, reported_table
from dino_ir.unfinished import unfinished_name

__all__ = [
    "ALL",
    "Difference",
    "Score",
    "average",
    "compare",
    "differences_as_markdown",
    "means_as_markdown",
    "read_scores",
    "write_differences",
    "write_means",
    "write_scores",
]

ALL = "all"
"""What stands for every benchmark where one is named."""

_DRAWS = 10_000  # of photos with replacement
_TEXTS = ("arm", "seed", "benchmark", "image", "tile", "digest", "weights")
_NUMBERS = ("psnr", "ssim", "input_psnr", "input_ssim", "seconds")


@dataclass(frozen=True)
class Score:
    """What one arm, trained with one seed, scored on one image."""

    arm: str
    seed: int
    benchmark: str
    image: str
    tile: str  # as in `inference.restore`
    digest: str  # of the benchmark
    weights: str  # digest of the file, or the table of a restorer without any
    psnr: float
    ssim: float
    input_psnr: float
    input_ssim: float
    seconds: float

    @property
    def key(self) -> tuple[str, ...]:
        """What it is a score of: all but the numbers."""
        return tuple(str(getattr(self, name)) for name in _TEXTS)


class Difference(NamedTuple):
    """How much more PSNR an arm has than the control, in dB, over the seeds that both have."""

    arm: str
    benchmark: str  # or ALL: the mean of the benchmarks' means
    mean: float
    low: float  # 2.5 and 97.5 percent of the means of photos drawn anew
    high: float
    by_seed: Mapping[int, float]


_Paired = dict[str, dict[str, dict[int, float]]]  # a difference in dB, by benchmark, image and seed


def read_scores(path: Path) -> list[Score]:
    """Read what `write_scores` wrote, also several such files one after the other.

    Returns:
        A score for each line; nothing where there is no file.

    Raises:
        DataError: the file has other columns, or a line of it is no score.
    """
    if not path.is_file():
        return []
    heads = [*_TEXTS, *_NUMBERS]
    scores: list[Score] = []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        if next(reader, heads) != heads:
            raise DataError(f"{path} has other columns than {', '.join(heads)}: move it away")
        for line in reader:
            if line == heads:  # each file brought its own
                continue
            try:
                scores.append(_score(line))
            except ValueError:
                raise DataError(
                    f"{path}, line {reader.line_num} is no score of {len(heads)} columns: take it out"
                ) from None
    return scores


def write_scores(scores: Iterable[Score], path: Path) -> None:
    """Write a CSV file, one line per score; it appears whole or not at all."""
    lines = [
        [getattr(score, name) for name in _TEXTS] + [f"{getattr(score, name):.6g}" for name in _NUMBERS]
        for score in scores
    ]
    _write(path, [*_TEXTS, *_NUMBERS], lines)


def write_means(scores: Iterable[Score], path: Path) -> None:
    """Write a CSV file, one line for each arm, seed and benchmark."""
    groups: dict[tuple[str, int, str], list[Score]] = {}
    for score in scores:
        groups.setdefault((score.arm, score.seed, score.benchmark), []).append(score)
    lines = [[*key, len(each), *(f"{value:.6g}" for value in average(each))] for key, each in groups.items()]
    _write(path, ["arm", "seed", "benchmark", "images", "psnr", "ssim"], lines)


def write_differences(rows: Sequence[Difference], path: Path) -> None:
    """Write a CSV file, a line for each arm and benchmark, a column for each seed, empty without it."""
    seeds = sorted({seed for row in rows for seed in row.by_seed})
    lines = [
        [row.arm, row.benchmark, *(f"{value:.6g}" for value in (row.mean, row.low, row.high))]
        + [f"{row.by_seed[seed]:.6g}" if seed in row.by_seed else "" for seed in seeds]
        for row in rows
    ]
    _write(path, ["arm", "benchmark", "psnr", "low", "high", *(f"seed_{seed}" for seed in seeds)], lines)


def average(scores: Iterable[Score]) -> tuple[float, float]:
    """The mean PSNR and SSIM over images, and over seeds."""
    scores = list(scores)
    return fmean(score.psnr for score in scores), fmean(score.ssim for score in scores)


def compare(scores: Sequence[Score], control: str) -> list[Difference]:
    """The paired differences of every other arm to the control, by benchmark and over all of them.

    Pairs share the seed, the benchmark and the image. A photo's difference is its mean over seeds, so
    intervals say how much depends on the photos; how much depends on the seed, `by_seed` says. Over all
    benchmarks, photos of the same names are drawn together: they are the same with different damage.
    """
    of_control = {(s.seed, s.benchmark, s.image): s.psnr for s in scores if s.arm == control}
    of_arms: dict[str, _Paired] = {}
    for s in scores:
        other = of_control.get((s.seed, s.benchmark, s.image))
        if s.arm != control and other is not None and math.isfinite(s.psnr - other):
            of_image = of_arms.setdefault(s.arm, {}).setdefault(s.benchmark, {}).setdefault(s.image, {})
            of_image[s.seed] = s.psnr - other
    rows: list[Difference] = []
    for arm, paired in of_arms.items():
        rows += [_difference(arm, name, {name: of_images}) for name, of_images in paired.items()]
        rows.append(_difference(arm, ALL, paired))
    return rows


def means_as_markdown(
    experiment: Experiment,
    scores: Sequence[Score],
    heads: Sequence[str] = (),
    costs: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> str:
    """PSNR / SSIM by arm and benchmark: what was reported, the degraded input, then ours.

    Args:
        experiment: its arms and columns.
        scores: of as many arms as there are.
        heads: of what is known of arms besides.
        costs: that, by the arm's name.
    """
    lines = [["", *experiment.columns, "mean", "runs", *heads]]
    lines.append(["---", *["---:"] * (len(lines[0]) - 1)])
    rows = _reported_rows(experiment)
    if scores:
        before = [replace(s, psnr=s.input_psnr, ssim=s.input_ssim) for s in scores if s.arm == scores[0].arm]
        rows.append(["degraded input", *_cells(experiment, before)])
    lines += [[*row, *["–"] * (1 + len(heads))] for row in rows]
    for arm in experiment.arms:
        of_arm = [score for score in scores if score.arm == arm.name]
        if of_arm:
            runs = str(len({score.seed for score in of_arm}))
            lines.append([arm.title, *_cells(experiment, of_arm), runs, *costs.get(arm.name, [])])
    return _table(lines)


def differences_as_markdown(rows: Sequence[Difference], experiment: Experiment) -> str:
    """A line for each arm, a column for each benchmark and one for all, with intervals; seeds at the end."""
    columns = {**dict(zip(experiment.names, experiment.columns)), ALL: ALL}
    titles = {arm.name: arm.title for arm in experiment.arms}
    lines = [[f"PSNR minus that of {titles[experiment.control]}", *columns.values(), "all, by seed"]]
    lines.append(["---", *["---:"] * (len(columns) + 1)])
    for arm in dict.fromkeys(row.arm for row in rows):
        of_arm = {row.benchmark: row for row in rows if row.arm == arm}
        cells = [_cell(of_arm[name]) if name in of_arm else "–" for name in columns]
        seeds = ", ".join(f"{value:+.2f}" for value in of_arm[ALL].by_seed.values())
        lines.append([titles[arm], *cells, seeds])
    return _table(lines)


def _table(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(experiment: Experiment, scores: Sequence[Score]) -> list[str]:
    """By benchmark, and the mean over benchmarks."""
    means = [average(s for s in scores if s.benchmark == name) for name in experiment.names]
    psnr, ssim = zip(*means)
    return [_printed({"psnr": p, "ssim": s}) for p, s in [*means, (fmean(psnr), fmean(ssim))]]


def _reported_rows(experiment: Experiment) -> list[list[str]]:
    """What was printed: the method, a cell for each column, and the average."""
    if not experiment.reported:
        return []
    table = reported_table(experiment.reported)
    methods: dict[str, dict[str, Reported]] = {}
    for row in (*table.rows, *table.averages):
        methods.setdefault(row.restorer, {})[row.benchmark] = row
    lines: list[list[str]] = []
    for method, cells in methods.items():
        found = [cells.get(name) for name in table.benchmarks]
        average = _reported_cell(cells[""]) if "" in cells else _reported_mean(found)
        lines.append([f"{method} (reported)", *map(_reported_cell, found), average])
    return lines


def _reported_cell(row: Reported | None) -> str:
    return _printed(row.scores, "?" if row.is_doubtful else "") if row else "–"


def _reported_mean(cells: Sequence[Reported | None]) -> str:
    """Of what no average is printed of: none where a number is missing or doubted."""
    sure = [cell.scores for cell in cells if cell and not cell.is_doubtful]
    values = {key: [each[key] for each in sure if key in each] for key in ("psnr", "ssim")}
    return _printed({key: fmean(each) for key, each in values.items() if len(each) == len(cells)})


def _printed(scores: Mapping[str, float], doubt: str = "") -> str:
    numbers = (f"{value:.{2 if key == 'psnr' else 3}f}{doubt}" for key, value in scores.items())
    return " / ".join(numbers) or "–"


def _difference(arm: str, benchmark: str, paired: _Paired) -> Difference:
    of_photos = [
        {image: fmean(by_seed.values()) for image, by_seed in images.items()} for images in paired.values()
    ]
    seeds: dict[int, list[float]] = {}  # of each benchmark, the mean over images
    for images in paired.values():
        for seed in sorted({seed for by_seed in images.values() for seed in by_seed}):
            values = [by_seed[seed] for by_seed in images.values() if seed in by_seed]
            seeds.setdefault(seed, []).append(fmean(values))
    mean = fmean(fmean(found.values()) for found in of_photos)
    return Difference(
        arm, benchmark, mean, *_interval(of_photos), {s: fmean(seeds[s]) for s in sorted(seeds)}
    )


def _interval(benchmarks: Sequence[Mapping[str, float]]) -> tuple[float, float]:
    """Where the mean of the benchmarks' means lies in 95 of 100 cases when photos are drawn anew."""
    sets: dict[tuple[str, ...], list[Tensor]] = {}  # benchmarks of the same photos
    for found in benchmarks:
        sets.setdefault(tuple(found), []).append(torch.tensor(list(found.values()), dtype=torch.float64))
    rng = torch.Generator().manual_seed(0)
    drawn = torch.zeros(_DRAWS, dtype=torch.float64)
    for values in sets.values():
        of_photo = torch.stack(values).sum(dim=0)
        chosen = torch.randint(len(of_photo), (_DRAWS, len(of_photo)), generator=rng)
        drawn += of_photo[chosen].mean(dim=1) / len(benchmarks)
    low, high = drawn.quantile(drawn.new_tensor([0.025, 0.975])).tolist()
    return low, high


def _cell(row: Difference) -> str:
    return f"{row.mean:+.2f} [{row.low:+.2f}, {row.high:+.2f}]"


def _score(line: Sequence[str]) -> Score:
    arm, seed, benchmark, image, tile, digest, weights, *numbers = line
    psnr, ssim, input_psnr, input_ssim, seconds = map(float, numbers)
    texts = (benchmark, image, tile, digest, weights)
    return Score(arm, int(seed), *texts, psnr, ssim, input_psnr, input_ssim, seconds)


def _write(path: Path, heads: Sequence[str], lines: Sequence[Sequence[object]]) -> None:
    unfinished = unfinished_name(path)
    with unfinished.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([heads, *lines])
    os.replace(unfinished, path)
