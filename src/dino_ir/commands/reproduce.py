"""The verb that reproduces published tables."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dino_ir.arguments import DataOption, DeviceOption, out_option
from dino_ir.errors import RecipeError
from dino_ir.terminal import plain_errors, progress_bar, say, stop_on_signal

__all__ = ["Scale", "reproduce"]


class Scale(StrEnum):
    """How large an experiment is run."""

    SMOKE = "smoke"
    SMALL = "small"
    PAPER = "paper"


def reproduce(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="Of a table, or its TOML file; a wrong name lists those there are."
        ),
    ],
    scale: Annotated[
        Scale,
        typer.Option(help="smoke: seconds, no meaning. small: hours of one machine. paper: as printed."),
    ] = Scale.SMALL,
    data: DataOption = None,
    out: Annotated[
        Path | None,
        out_option("DIR", "Folder of the tables. Default: that of the runs, with the table's name."),
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of all runs. Default: runs, with smoke or paper in it."),
    ] = None,
    recipes: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the recipes.")] = Path("recipes"),
    trains: Annotated[
        bool, typer.Option("--train/--no-train", help="Train what is missing, or leave it out.")
    ] = True,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ARM[/SEED]",
            help="Train no other arm, or seed of it. Of the rest, earlier scores stand. Repeatable.",
        ),
    ] = None,
    control: Annotated[
        str | None,
        typer.Option(metavar="ARM", help="Compare with this arm, a trained one. Default: the table's own."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Begin what the paper's scale takes.")] = False,
    device: DeviceOption = "auto",
) -> None:
    """Train and score everything a table compares, beside the published rows. Prints Markdown.

    Ctrl-C stops cleanly, and the same command goes on later. The paper's scale first says what it
    needs: memory, hours, data and weights.
    """
    with plain_errors():
        from dino_ir.experiment import read_experiment
        from dino_ir.inference import find_device
        from dino_ir.reproduction import Site, needs
        from dino_ir.reproduction import reproduce as run

        if only and not trains:
            raise RecipeError("--only says what to train, --no-train that nothing is: give one of them")
        experiment = read_experiment(name, scale.value)
        if control is not None:
            experiment = experiment.compared_with(control)
        folder = runs or Path("runs") / ("" if scale == Scale.SMALL else scale.value)
        target = out or folder / experiment.name
        site = Site(target, folder, recipes, data, str(find_device(device)), trains, only or (), tell=_note)
        if scale == Scale.PAPER and not yes:
            for line in needs(experiment, site):
                say(line)
            say("Nothing was begun. If this is what you want, add --yes.")
            raise typer.Exit
        with progress_bar() as show, stop_on_signal() as stop:
            text = run(experiment, site._replace(report=show, stop=stop))
    sys.stdout.write(text + "\n")


def _note(line: str) -> None:
    sys.stderr.write(line + "\n")
