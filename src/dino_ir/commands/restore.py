"""The verb that restores photo files."""

from pathlib import Path
from typing import Annotated

import typer

from dino_ir.arguments import (
    DepthOption,
    DeviceOption,
    FormatOption,
    MaxPixelsOption,
    OverwriteOption,
    QualityOption,
    ResultOption,
    StrengthOption,
    TileOption,
    WeightsOption,
)
from dino_ir.terminal import plain_errors, report

__all__ = ["restore"]


def restore(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Photos, or folders of photos.")],
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
) -> None:
    """Restore photos. Originals are never touched; a photo whose result exists is skipped.

    The exit code is 1 if a photo failed, and 2 if the command is wrong.
    """
    with plain_errors():
        from dino_ir.inference import load
        from dino_ir.places import plan
        from dino_ir.restoration import Coding, restore_files

        jobs = plan(paths, out, suffix)
        restorer = load(weights, device)
        coding = Coding(quality, depth, max_pixels)
        report(restore_files(restorer, jobs, tile, strength, overwrite, coding))
