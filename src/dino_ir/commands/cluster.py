"""The verb that restores photos on many machines."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dino_ir.arguments import (
    DepthOption,
    FormatOption,
    MaxPixelsOption,
    OverwriteOption,
    QualityOption,
    StrengthOption,
    WeightsOption,
    out_option,
)
from dino_ir.terminal import plain_errors, report, say

if TYPE_CHECKING:
    from dino_ir.restoration import Result

__all__ = ["cluster"]


def cluster(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH|URL", help="Photos, folders, quoted patterns, or - for a list."),
    ],
    out: Annotated[str, out_option("DIR|URL", "Folder of the results, which keep the photos' tree.")],
    weights: WeightsOption = "default",
    address: Annotated[
        str | None, typer.Option(help="Of the Ray cluster. Default: the one here, or this machine alone.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Default: one for each GPU, or else for each CPU core.")
    ] = None,
    strength: StrengthOption = 1.0,
    suffix: FormatOption = None,
    quality: QualityOption = None,
    depth: DepthOption = None,
    max_pixels: MaxPixelsOption = 3e8,
    overwrite: OverwriteOption = False,
    rows: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Append what became of each photo, a JSON line each."),
    ] = None,
) -> None:
    """Restore photos on all machines of a Ray cluster. The same command again does what is missing.

    Paths must be the same on every machine, or URLs such as s3://bucket/photos. The exit code is 1 if a
    photo failed, and 2 if the command is wrong.
    """
    with plain_errors():
        from dino_ir.cluster import plan_remote, restore_on_cluster
        from dino_ir.files.weights import find_weights
        from dino_ir.photos import Options
        from dino_ir.places import read_list

        weights = str(find_weights(weights).absolute()) if Path(weights).is_file() else weights
        listed = read_list(sys.stdin.buffer.read()) if "-" in paths else []
        named = [path for path in paths if path != "-"]
        jobs, done = plan_remote(named, out, suffix, listed, overwrite)
        if done:
            say(f"{done} of {done + len(jobs)} photos are done already")
        options = Options(strength=strength, quality=quality, depth=depth, max_pixels=max_pixels)
        report(_noted(restore_on_cluster(jobs, weights, options, address, workers), rows))


def _noted(results: "Iterable[Result]", path: Path | None) -> "Iterator[Result]":
    """Pass results on, and append each to a file, if there is one."""
    with nullcontext() if path is None else path.open("ab", buffering=0) as file:
        for result in results:
            if file:
                file.write(json.dumps(result._asdict()).encode() + b"\n")
            yield result
