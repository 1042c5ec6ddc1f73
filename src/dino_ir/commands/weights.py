"""The verbs of `dino-ir weights`: parse, call one function, print."""

from pathlib import Path
from typing import Annotated

import typer

from dino_ir.arguments import out_option
from dino_ir.errors import RecipeError, WeightsError
from dino_ir.terminal import plain_errors, say

__all__ = ["fetch", "import_weights", "join", "list_weights", "mean", "verify", "weight_verbs"]

weight_verbs = typer.Typer(
    name="weights", no_args_is_help=True, help="List, fetch, verify, import, average and join weights."
)


@weight_verbs.command("list")
def list_weights() -> None:
    """List weights: name, parameters, licence, and where they are on this machine."""
    with plain_errors():
        from dino_ir.files.weights import find_weights, read_weights, shipped
        from dino_ir.published import find_published, published

        for name in shipped():
            path = find_weights(name)
            say(_row(name, sum(each.numel() for each in read_weights(path)[0].values()), "own", path))
        for name, entry in published().items():
            say(_row(name, entry.parameters, entry.licence, find_published(name) or "not here"))


@weight_verbs.command()
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of published weights, such as dinov2_vitb14.")],
) -> None:
    """Download published weights into the usual cache, unless they are here. Prints the path."""
    with plain_errors():
        from dino_ir.published import fetch as fetch_published

        say(fetch_published(name))


@weight_verbs.command()
def verify(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Shipped or published. Default: all that are here.")
    ] = None,
) -> None:
    """Compare weight files with the digests stated of them. Nothing is downloaded.

    The exit code is 1 if a file differs, and 2 if a name is wrong or its file is not here.
    """
    with plain_errors():
        from dino_ir.diagnosis import verify_weights

        report = verify_weights([name] if name else None)
        for each, finding in report.findings.items():
            say(f"{each:18} {finding}")
    if not report.is_well:
        raise typer.Exit(1)


@weight_verbs.command("import")
def import_weights(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A checkpoint, .pth or .safetensors.")],
    out: Annotated[Path, out_option("FILE", "The weight file to write, such as derain.safetensors.")],
) -> None:
    """Turn a published checkpoint of Restormer or NAFNet into a weight file for every other command."""
    with plain_errors():
        from dino_ir.conversion import convert
        from dino_ir.files.weights import read_published

        if out.exists():
            raise WeightsError(f"{out} exists; give another name, or delete it")
        if not file.is_file():
            raise WeightsError(f"{file} does not exist; give a checkpoint that the authors published")
        weights = read_published(file)
        try:
            table = convert(weights, out, file.name)
        except (WeightsError, RecipeError) as problem:
            raise WeightsError(f"{file}: {problem}") from None
        network = table["restorer"]["network"]
        say(f"{out}: {', '.join(f'{key} = {value}' for key, value in network.items())}")


@weight_verbs.command()
def mean(
    files: Annotated[
        list[str], typer.Argument(metavar="NAME|FILE", help="Weights of one restorer, two at least.")
    ],
    out: Annotated[Path, out_option("FILE", "The weight file to write, such as mean.safetensors.")],
) -> None:
    """Write the mean of several runs' weights, which began at the same ones."""
    with plain_errors():
        from dino_ir.averaging import average_weights

        if out.exists():
            raise WeightsError(f"{out} exists; give another name, or delete it")
        average_weights(files, out)
        say(f"{out}: the mean of {len(files)} files")


@weight_verbs.command()
def join(
    files: Annotated[
        list[str], typer.Argument(metavar="NAME|FILE", help="Weights of one restorer, two at least.")
    ],
    out: Annotated[Path, out_option("FILE", "The weight file to write, such as joined.safetensors.")],
) -> None:
    """Make experts of several runs' networks, in one file. Their gate is yet to be trained: train --init."""
    with plain_errors():
        from dino_ir.averaging import join_experts

        if out.exists():
            raise WeightsError(f"{out} exists; give another name, or delete it")
        join_experts(files, out)
        say(f"{out}: {len(files)} experts")


def _row(name: str, parameters: int, licence: str, place: object) -> str:
    return f"{name:18} {parameters:>13,}  {licence:10}  {place}"
