"""Restored photos in one folder, by whatever program, scored against the clean ones in another."""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dino_ir.contracts import Metric
from dino_ir.errors import DataError, DinoIRError, ImageError
from dino_ir.evaluation import compare, interval
from dino_ir.files.images import name_images, read_rgb
from dino_ir.ops.color import to_float
from dino_ir.protocol import Protocol

__all__ = [
    "Matched",
    "Scored",
    "as_markdown",
    "check_border",
    "frechet_distance",
    "match_folders",
    "score_pairs",
    "write_scores",
]


class Matched(NamedTuple):
    """The photos of two folders that have one name, and the names of those that are in one of them alone."""

    pairs: dict[str, tuple[Path, Path]]  # restored and clean, by name
    restored_alone: list[str]
    clean_alone: list[str]


class Scored(NamedTuple):
    """One photo: its scores by protocol and metric."""

    image: str
    scores: dict[str, dict[str, float]]


def match_folders(restored: Path, clean: Path) -> Matched:
    """Find what belongs together: by the way from the folder, whatever the suffix.

    A restored photo may be called `NAME_restored`, as `dino-ir restore` calls it.

    Raises:
        DataError: a folder is missing, two photos of one have one name, or no name is in both.
    """
    for folder in (restored, clean):
        if not folder.is_dir():
            raise DataError(f"no folder {folder}")
    theirs = name_images(clean)
    ours: dict[str, Path] = {}
    for found, path in name_images(restored).items():
        name = found if found in theirs else found.removesuffix("_restored")
        if ours.setdefault(name, path) != path:
            raise DataError(f"{ours[name]} and {path} are both restored from {name}: keep one")
    pairs = {name: (path, theirs[name]) for name, path in ours.items() if name in theirs}
    if not pairs:
        raise DataError(
            f"no photo in {restored} has the name of one in {clean}: expected such as"
            f" {next(iter(theirs), 'NAME')} with any suffix"
        )
    return Matched(pairs, sorted(ours.keys() - theirs.keys()), sorted(theirs.keys() - ours.keys()))


def score_pairs(
    pairs: Mapping[str, tuple[Path, Path]], protocols: Sequence[Protocol], metrics: Sequence[str]
) -> Iterator[Scored]:
    """Score each photo by each protocol; NaN by metrics and, of several, by protocols it is too small for.

    Raises:
        ImageError: a file cannot be read, or is too small for the only protocol.
        DataError: the two photos of a pair differ in size.
        RecipeError: no such metric.
    """
    rules = {protocol.name: (protocol, protocol.metrics(metrics)) for protocol in protocols}
    for name, (restored, clean) in pairs.items():
        image, target = (to_float(read_rgb(path))[None] for path in (restored, clean))
        if image.shape != target.shape:
            sizes = " and ".join(f"{each.shape[3]}x{each.shape[2]}" for each in (image, target))
            raise DataError(f"{restored} and {clean} differ in size: {sizes}")
        scores: dict[str, dict[str, float]] = {}
        for key, (protocol, rule) in rules.items():
            try:
                scores[key] = _score(image, target, name, protocol, rule)
            except ImageError:
                if len(rules) == 1:
                    raise
                scores[key] = dict.fromkeys(rule, math.nan)
        yield Scored(name, scores)


def _score(
    image: Tensor, target: Tensor, name: str, protocol: Protocol, rule: Mapping[str, Metric]
) -> dict[str, float]:
    image, target = protocol.cut(image), protocol.cut(target)
    check_border(protocol, target, name)
    return compare(protocol.finish(image), target, rule, protocol)


def check_border(protocol: Protocol, image: Tensor, name: str) -> None:
    """Refuse an image [..., H, W] of which a protocol leaves nothing to be scored.

    Raises:
        ImageError: nothing is left; the message has the image's name.
    """
    height, width = image.shape[-2:]
    if min(height, width) <= 2 * (protocol.border + protocol.shift):
        shift = f" and shift {protocol.shift} leave" if protocol.shift else " leaves"
        raise ImageError(f"{name}: border {protocol.border}{shift} nothing of {width} x {height}")


def as_markdown(scored: Sequence[Scored], protocols: Sequence[Protocol]) -> str:
    """A table, one line per protocol: means over the photos and where they lie in 95 of 100 cases."""
    names = list(next(iter(scored[0].scores.values())))
    heads = [head for name in names for head in (name.upper().replace("_", "-"), "95 %")]
    lines = [["protocol", "who scores like this", *heads], ["---", "---", *["---:"] * len(heads)]]
    for protocol in protocols:
        columns = {name: [one.scores[protocol.name][name] for one in scored] for name in names}
        cells = [cell for name in names for cell in _cells(name, columns[name], protocol)]
        lines.append([protocol.name, protocol.title, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(name: str, scores: Sequence[float], protocol: Protocol) -> tuple[str, str]:
    digits = 2 if name == "psnr" else 4
    low, high = interval(scores)
    mean = protocol.average(name, scores)
    return (
        f"{mean:.{digits}f}" if not math.isnan(mean) else "–",
        f"{low:.{digits}f} to {high:.{digits}f}" if math.isfinite(low) else "–",
    )


def write_scores(scored: Iterable[Scored], path: Path) -> None:
    """Write a CSV file, one line per photo and protocol; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        for number, one in enumerate(scored):
            for protocol, scores in one.scores.items():
                if number == 0 and protocol == next(iter(one.scores)):
                    writer.writerow(["image", "protocol", *scores])
                writer.writerow([one.image, protocol, *(f"{score:.6f}" for score in scores.values())])


def frechet_distance(pairs: Mapping[str, tuple[Path, Path]]) -> float:
    """How far apart a network for recognition finds the two sets of photos, 0 for equal sets.

    Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash equilibrium",
    NeurIPS 2017, by torchmetrics: `pip install 'dino-ir[perceptual]'`. Inception's weights are fetched on
    first use. Thousands of photos are needed for a number that is steady.

    Raises:
        DataError: fewer than two pairs.
        DinoIRError: torchmetrics or torch-fidelity is missing, or the weights cannot be had.
    """
    if len(pairs) < 2:
        raise DataError(f"FID compares sets: expected two pairs or more, got {len(pairs)}")
    distance = _inception()
    with torch.no_grad():
        for files in pairs.values():
            for path, is_real in zip(files, (False, True)):
                distance.update(read_rgb(path)[None], real=is_real)
        return float(distance.compute())


def _inception() -> Any:
    try:
        from torchmetrics.image.fid import (  # pyright: ignore[reportMissingImports]
            FrechetInceptionDistance,
        )

        return FrechetInceptionDistance()
    except (ImportError, OSError, RuntimeError) as problem:  # what is fetched may not be there to be fetched
        raise DinoIRError(
            "fid needs torchmetrics, torch-fidelity and the weights that it fetches:"
            f" pip install 'dino-ir[perceptual]' ({problem})"
        ) from None
