"""The verb that draws figures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dino_ir.arguments import DataOption, DeviceOption, OverwriteOption, out_option
from dino_ir.errors import RecipeError
from dino_ir.terminal import plain_errors, say

if TYPE_CHECKING:
    from torch import Tensor

    from dino_ir.contracts import Prior, Restorer
    from dino_ir.drawing import Sample

__all__ = ["figure"]


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
    benchmark: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="For crops: its first photo, as it is there; may be repeated."),
    ] = None,
    data: DataOption = None,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
) -> None:
    """Draw a figure of the paper, or one of our own, with its numbers as CSV beside it.

    What it is drawn of is never written over.
    """
    with plain_errors():
        from dino_ir.drawing import Material, check_drawing, find_figure, write_drawing

        draw, path = find_figure(name), out or Path(f"{name}.png")
        if benchmark and name != "crops":
            raise RecipeError(f"--benchmark is for crops: give {name} photos")
        check_drawing(path, [*(photos or ()), *([means] if means else ())], overwrite)
        runs = {"/".join(folder.parts[-2:]): folder for folder in run or []}
        if name in ("fig1", "training"):
            material = Material(runs=runs, means=means)
        else:
            restorers = _restorers(weights or ["default"], restorer or [], device)
            samples = [_sample(each, data) for each in benchmark or []]
            shown = _photos(photos or []) if photos or not samples else {}
            material = Material(shown, restorers, _prior(prior, restorers, device), samples=samples)
        drawing = draw(material)
        numbers = write_drawing(drawing, path)
        for line in (*drawing.notes, f"{path} and {numbers}"):
            say(line)


def _photos(paths: list[Path]) -> "dict[str, Tensor]":
    from dino_ir.demo import read_photos
    from dino_ir.files.images import read_rgb
    from dino_ir.ops.color import to_float

    return {path.stem: to_float(read_rgb(path)) for path in paths} or read_photos()


def _sample(name: str, data: Path | None) -> "Sample":
    from dino_ir.benchmark import read_benchmark
    from dino_ir.contracts import Truth
    from dino_ir.drawing import Sample

    benchmark = read_benchmark(name, data)
    photo, degraded, clean = benchmark.images(0)
    return Sample(photo, Path(name).stem, degraded, Truth(clean, benchmark.damage(0)))


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
