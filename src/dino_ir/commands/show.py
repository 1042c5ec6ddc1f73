"""The verbs that show: parts, the installation, damage, and what the weights can do."""

from pathlib import Path
from typing import Annotated

import typer

from dino_ir.arguments import DegradationsOption, DeviceOption, WeightsOption, out_option
from dino_ir.terminal import plain_errors, report, say

__all__ = ["degrade", "demo", "doctor", "list_parts"]


def list_parts(
    shelf: Annotated[
        str | None,
        typer.Argument(metavar="SHELF", help="networks, priors, degradations, ...; none: all."),
    ] = None,
) -> None:
    """List the parts a recipe can name, and what each is."""
    with plain_errors():
        from dino_ir.catalog import SHELVES, names, summary

        for each in [shelf] if shelf else SHELVES:
            lines = [f"  {name:18} {summary(each, name)}" for name in names(each)]
            say(each, style="bold")
            say("\n".join(lines))


def doctor() -> None:
    """Show versions, devices and weights, and whether the weight files are whole."""
    with plain_errors():
        from dino_ir.diagnosis import diagnose

        report = diagnose()
        for name, finding in report.findings.items():
            say(f"{name:24} {finding}")
    if not report.is_well:
        raise typer.Exit(1)


def degrade(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO", help="Clean photos.")],
    names: DegradationsOption = None,
    out: Annotated[Path, out_option("DIR", "Folder for a sheet per photo.")] = Path("degraded"),
    columns: Annotated[int, typer.Option(min=1, help="Damaged versions of each.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same damage.")] = 0,
) -> None:
    """Write a sheet of damaged versions of each photo, to see what a restorer learns from."""
    with plain_errors():
        from dino_ir.inspection import read_degradations, write_degraded_sheets

        report(write_degraded_sheets(photos, read_degradations(names), out, columns, seed))


def demo(
    out: Annotated[Path, out_option("DIR", "Folder for the sheets.")] = Path("demo"),
    weights: WeightsOption = "default",
    device: DeviceOption = "auto",
) -> None:
    """Damage photos that come with scikit-image four ways, restore them blind, and show it."""
    with plain_errors():
        from dino_ir.demo import demonstrate
        from dino_ir.inference import load

        for line in demonstrate(load(weights, device), out):
            say(line)
