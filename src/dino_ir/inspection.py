"""Look before training: every file of a recipe's datasets, and pictures of what a restorer will see."""

import inspect
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dino_ir.benchmark import Benchmark
from dino_ir.catalog import build, find, names, read_table
from dino_ir.contracts import Dataset, Degradation
from dino_ir.errors import DinoIRError
from dino_ir.feed import Source, Stream, assemble
from dino_ir.files.images import Photo, read_rgb, write_photo
from dino_ir.ops.color import to_float
from dino_ir.ops.sheet import sheet
from dino_ir.recipe import Recipe
from dino_ir.restoration import Result

__all__ = [
    "Finding",
    "inspect_benchmarks",
    "inspect_pictures",
    "inspect_sources",
    "read_degradations",
    "write_degraded_sheets",
    "write_feed_sheet",
]

LONGEST = 480
"""Pictures of a degraded photo are cut to this side, so that the damage is seen pixel by pixel."""


class Finding(NamedTuple):
    """What a look at one dataset or benchmark found."""

    name: str
    readable: int  # pictures that are fine
    problems: list[str]  # one line for each that is not
    note: str = ""  # what is unusual and no problem, to follow the number


def read_degradations(texts: Sequence[str] | None) -> dict[str, Degradation]:
    """Degradations by what they were called: names, or TOML tables with options.

    Args:
        texts: each as in `catalog.read_table`; None takes all that need no options.

    Raises:
        RecipeError: not TOML, an unknown name, or an option that it does not take.
    """
    if texts is None:
        free = [name for name in names("degradations") if not _needs_options(find("degradations", name))]
        return {name: build("degradations", {"name": name}) for name in free}
    return {text: build("degradations", read_table(text)) for text in texts}


def inspect_pictures(
    sources: Sequence[Source], recipe: Recipe, benchmarks: Mapping[str, tuple[Benchmark, int]]
) -> Iterator[Finding]:
    """Both of the below: all that a recipe trains and is validated on."""
    yield from inspect_sources(sources, recipe)
    yield from inspect_benchmarks(benchmarks)


def inspect_sources(sources: Sequence[Source], recipe: Recipe) -> Iterator[Finding]:
    """Read every picture of every dataset, once; name those that cannot be read or are too small to crop.

    Raises:
        DataError: photos that are clean and stay so.
    """
    crop = max(phase.smallest_cut for phase in recipe.phase)
    seen: list[Dataset] = []
    for source in sources:
        if source.degradation is not None and source.dataset in seen:
            continue
        seen.append(source.dataset)
        problems: list[str] = []
        for index in range(len(source.dataset)):
            try:
                pair = source.dataset[index]
            except DinoIRError as problem:
                problems.append(str(problem))
                continue
            source.expect_damage(pair)
            height, width = pair.clean.shape[-2:]
            if min(height, width) < crop:
                problems.append(f"{pair.name} is {width}x{height}, too small to cut {crop}x{crop} from")
        readable = len(source.dataset) - len(problems)
        yield Finding(str(source.dataset), readable, problems, _note(source.dataset))


def inspect_benchmarks(benchmarks: Mapping[str, tuple[Benchmark, int]]) -> Iterator[Finding]:
    """Read and damage the pictures that a run is validated on; name those that cannot be.

    Args:
        benchmarks: of a `Validation`.
    """
    for benchmark, count in benchmarks.values():
        problems: list[str] = []
        for index in range(count):
            try:
                benchmark.images(index)
            except DinoIRError as problem:
                problems.append(str(problem))
        yield Finding(benchmark.title, count - len(problems), problems, _note(benchmark.dataset))


def write_feed_sheet(sources: Sequence[Source], recipe: Recipe, path: Path, rows: int = 8) -> None:
    """Write a sheet of the first samples of the last phase: crops degraded and clean, side by side."""
    stream = Stream(sources, recipe)
    pictures: list[list[Tensor]] = []
    for row in range(rows):
        batch = assemble([stream[recipe.steps - 1, row]], sources, thumbnail=None)
        pictures.append([picture for pair in zip(batch.degraded, batch.clean) for picture in pair])
    _write(path, pictures, ["degraded", "clean"] * (len(pictures[0]) // 2))


def write_degraded_sheets(
    photos: Sequence[Path],
    degradations: Mapping[str, Degradation],
    folder: Path,
    columns: int = 3,
    seed: int = 0,
) -> Iterator[Result]:
    """Write a sheet per photo, NAME.png, and yield what became of each; a failure does not stop the rest.

    A sheet shows the photo's middle: a row for each degradation, the clean photo first in each.

    Args:
        degradations: from `read_degradations`.
        folder: where to; it is made. Sheets that exist are replaced.
        columns: damaged versions in a row.
        seed: of the first column; the next ones count on.
    """
    for photo in photos:
        path = folder / f"{photo.stem}.png"
        started = time.perf_counter()
        try:
            _write_degraded_sheet(photo, degradations, path, columns, seed)
        except DinoIRError as problem:
            yield Result(photo, path, "failed", str(problem))
        else:
            yield Result(photo, path, "degraded", seconds=time.perf_counter() - started)


def _note(dataset: Dataset) -> str:
    """Where a published set is not whole, so many of how many are there."""
    expected, found = (getattr(dataset, key, None) for key in ("expected", "found"))
    return "" if expected in (None, found) else f"; {found} are there of {expected} published"


def _needs_options(part: Callable[..., Any]) -> bool:
    try:
        inspect.signature(part).bind()
    except TypeError:
        return True
    return False


def _write_degraded_sheet(
    photo: Path, degradations: Mapping[str, Degradation], path: Path, columns: int, seed: int
) -> None:
    clean = to_float(read_rgb(photo))
    top, left = (max(0, (side - LONGEST) // 2) for side in clean.shape[-2:])
    clean = clean[:, top : top + LONGEST, left : left + LONGEST]
    rows: list[list[Tensor]] = []
    for degradation in degradations.values():
        rngs = [torch.Generator().manual_seed(seed + column) for column in range(columns)]
        parameters = [degradation.draw(rng) for rng in rngs]
        damaged = degradation.apply(clean.expand(columns, -1, -1, -1), parameters)
        rows.append([clean, *damaged])
    _write(path, rows, [f"clean ({', '.join(degradations)})", *(f"seed {seed + i}" for i in range(columns))])


def _write(path: Path, rows: Sequence[Sequence[Tensor]], labels: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_photo(path, Photo(sheet(rows, labels=labels)))
