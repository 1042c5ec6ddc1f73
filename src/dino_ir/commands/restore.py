"""The verb that restores photo files."""

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dino_ir.arguments import (
    BackendOption,
    DepthOption,
    DeviceOption,
    ExactOption,
    FormatOption,
    MaxPixelsOption,
    MirrorOption,
    OverwriteOption,
    QualityOption,
    ResultOption,
    StrengthOption,
    TileOption,
    WeightsOption,
    read_place,
)
from dino_ir.errors import DataError
from dino_ir.terminal import plain_errors, report, say, stop_on_signal, tile_bar

if TYPE_CHECKING:
    from dino_ir.restoration import Result

__all__ = ["restore"]

_INTERRUPTED = 130  # as shells say it


def _read_shard(text: str) -> tuple[int, int]:
    number, _slash, total = text.partition("/")
    if not (number.isdecimal() and total.isdecimal() and 1 <= int(number) <= int(total)):
        raise typer.BadParameter(f"expected a shard and their number, from 1/8 to 8/8, got {text!r}.")
    return int(number), int(total)


def _read_bytes(text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMGT]?)i?B?", text.strip(), flags=re.IGNORECASE)
    if not found:
        raise typer.BadParameter(f"expected a size such as 2GB or 800MB, got {text!r}.")
    return int(float(found[1]) * 1000 ** " KMGT".index(found[2].upper() or " "))


def restore(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH", help="Photos, folders, quoted patterns (** is any folders), or - for a list."
        ),
    ],
    out: ResultOption = None,
    weights: WeightsOption = "default",
    device: DeviceOption = "auto",
    tile: TileOption = "auto",
    strength: StrengthOption = 1.0,
    suffix: FormatOption = None,
    quality: QualityOption = None,
    depth: DepthOption = None,
    max_pixels: MaxPixelsOption = 3e8,
    overwrite: OverwriteOption = False,
    manifest: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Note what became of each photo, a JSON line each."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the manifest: do what is new, failed, or changed since."),
    ] = False,
    shard: Annotated[
        Any,
        typer.Option(parser=_read_shard, metavar="I/N", help="Only the I-th of N parts, divided by names."),
    ] = "1/1",
    memory: Annotated[
        Any,
        typer.Option(
            parser=_read_bytes,
            metavar="SIZE",
            help="To take at most, such as 2GB. Default: half of what is free.",
        ),
    ] = None,
    records: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="FILE",
            help="Append a JSON line for each photo: what it suffered from, and how much changed.",
        ),
    ] = None,
    compare: Annotated[
        Any,
        typer.Option(
            parser=read_place, metavar="DIR", help="Write a picture of each photo beside its result there."
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="Write a page with a slider over each photo and its result."
        ),
    ] = None,
    backend: BackendOption = "auto",
    exact: ExactOption = False,
    mirror: MirrorOption = False,
    unchecked: Annotated[
        bool,
        typer.Option(
            "--unchecked", help="Write what looks wrong, too: for weights that change light or colours."
        ),
    ] = False,
) -> None:
    """Restore photos. Originals are never touched; a photo whose result exists is skipped.

    Ctrl-C stops after the photo at hand, a second one at once; no half file is left. The exit code is 1 if
    a photo failed or was kept as it was, 2 if the command is wrong, and 130 if it was stopped.
    """
    with plain_errors():
        from dino_ir.backends import count_pixels, use_backend
        from dino_ir.files.weights import digest, find_weights
        from dino_ir.inference import load
        from dino_ir.looks import keep_apart, write_looks
        from dino_ir.manifest import Manifest
        from dino_ir.mirror import Mirrored
        from dino_ir.photos import Options
        from dino_ir.places import plan, read_list
        from dino_ir.restoration import is_waiting, restore_files

        if resume and manifest is None:
            raise DataError("--resume goes on with a manifest: name it by --manifest FILE")
        listed = read_list(sys.stdin.buffer.read()) if "-" in paths else []
        jobs = plan([path for path in paths if path != "-"], out, suffix, listed, shard)
        keep_apart((manifest, records, html), jobs)
        notes, asked = None, jobs
        if manifest is not None:
            settings = dict(tile=tile, strength=strength, quality=quality, depth=depth)
            settings |= dict(backend=backend, exact=exact, unchecked=unchecked)
            settings |= dict(mirror=True) if mirror else {}  # unsaid, so that manifests of before still fit
            notes = Manifest(manifest, {"weights": digest(find_weights(weights)), **settings}, resume)
            jobs = notes.rest(asked)
            if len(jobs) < len(asked):
                say(f"{len(asked) - len(jobs)} of {len(asked)} photos are done already")
        waiting = (job.photo for job in jobs if is_waiting(job, overwrite))
        pixels = count_pixels(waiting, max_pixels) if backend == "auto" else 0
        restorer = use_backend(load(weights, device), backend, exact, pixels)
        restorer = Mirrored(restorer) if mirror else restorer
        options = Options(tile, strength, memory, quality, depth, max_pixels, not unchecked)
        left = {job.result for job in jobs}
        done = [job for job in asked if job.result not in left]
        with stop_on_signal() as stop, tile_bar() as show:
            results = restore_files(restorer, jobs, options, overwrite, stop, show, records is not None)
            results = write_looks(results, records, compare, html, done, jobs, overwrite)
            results = notes.note(results) if notes else results
            try:
                report(_until_stopped(results, len(jobs)))
            finally:
                if stop():
                    raise typer.Exit(_INTERRUPTED)


def _until_stopped(results: "Iterable[Result]", count: int) -> "Iterator[Result]":
    """Pass results on, and say how many of them did not come."""
    with suppress(KeyboardInterrupt):
        for result in results:
            count -= 1
            yield result
    if count:
        say(f"stopped; {count} left")
