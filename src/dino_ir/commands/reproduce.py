"""The verbs that reproduce what was published: tables and figures."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dino_ir.arguments import DataOption, DeviceOption, out_option
from dino_ir.terminal import plain_errors, progress_bar, say, stop_on_signal

if TYPE_CHECKING:
    from torch import Tensor

    from dino_ir.contracts import Prior, Restorer

__all__ = ["Scale", "figure", "reproduce"]


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

        experiment = read_experiment(name, scale.value)
        folder = runs or Path("runs") / ("" if scale == Scale.SMALL else scale.value)
        target = out or folder / experiment.name
        site = Site(target, folder, recipes, data, str(find_device(device)), trains, tell=_note)
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


def figure(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A wrong name lists those there are.")],
    photos: Annotated[
        list[Path] | None, typer.Argument(metavar="PHOTO", help="Clean photos. Default: scikit-image's.")
    ] = None,
    out: Annotated[
        Path | None, out_option("FILE", "A PNG, PDF or SVG; numbers go beside it. Default: NAME.png, here.")
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|FILE", help="Of a restorer to show; may be repeated. Default: default."),
    ] = None,
    restorer: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|TABLE", help="One without weights to show too; may be repeated."),
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(metavar="NAME|TABLE", help="What describes photos. Default: that of the first weights."),
    ] = None,
    run: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="Of a training run; may be repeated.")
    ] = None,
    means: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A means.csv of `dino-ir reproduce`, for fig1.")
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Draw a figure of the paper, or one of our own, with its numbers as CSV beside it."""
    with plain_errors():
        from dino_ir.drawing import Material, find_figure, write_drawing

        draw = find_figure(name)
        runs = {"/".join(folder.parts[-2:]): folder for folder in run or []}
        if name in ("fig1", "training"):
            material = Material(runs=runs, means=means)
        else:
            restorers = _restorers(weights or ["default"], restorer or [], device)
            material = Material(_photos(photos or []), restorers, _prior(prior, restorers, device))
        drawing = draw(material)
        path = out or Path(f"{name}.png")
        numbers = write_drawing(drawing, path)
        for line in (*drawing.notes, f"{path} and {numbers}"):
            say(line)


def _photos(paths: list[Path]) -> "dict[str, Tensor]":
    from dino_ir.demo import read_photos
    from dino_ir.files.images import read_rgb
    from dino_ir.ops.color import to_float

    return {path.stem: to_float(read_rgb(path)) for path in paths} or read_photos()


def _restorers(weights: list[str], untrained: list[str], device: str) -> "dict[str, Restorer]":
    from dino_ir.catalog import build, read_table
    from dino_ir.inference import load

    restorers: dict[str, Restorer] = {Path(name).stem: load(name, device) for name in weights}
    return restorers | {text: build("restorers", read_table(text)).eval() for text in untrained}


def _prior(text: str | None, restorers: "dict[str, Restorer]", device: str) -> "Prior | None":
    from dino_ir.catalog import build, read_table
    from dino_ir.contracts import Prior
    from dino_ir.files.weights import fill_priors
    from dino_ir.inference import find_device

    if text is not None:
        return fill_priors(build("priors", read_table(text))).to(find_device(device))
    parts = (part for restorer in restorers.values() for part in restorer.modules())
    return next((part for part in parts if isinstance(part, Prior)), None)
