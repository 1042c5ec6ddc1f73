"""The command line: parse, call one function, print. No work happens here."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dino_ir.arguments import (
    CompiledOption,
    DataOption,
    DegradationsOption,
    DepthOption,
    DeviceOption,
    FormatOption,
    InitOption,
    MaxPixelsOption,
    MinutesOption,
    OverwriteOption,
    QualityOption,
    RecipeArgument,
    RestorerOption,
    ResultOption,
    SettingsOption,
    StrengthOption,
    TensorboardOption,
    TileOption,
    VersionOption,
    WeightsOption,
    out_option,
)
from dino_ir.ops.allocator import keep_freed_memory
from dino_ir.terminal import console, plain_errors, progress_bar, say, share_cores, stop_on_signal
from dino_ir.weight_commands import weight_verbs

if TYPE_CHECKING:
    from dino_ir.contracts import Restorer
    from dino_ir.photos import Result

__all__ = ["app", "check", "degrade", "demo", "doctor", "evaluate", "list_parts", "main", "restore", "train"]

app = typer.Typer(
    name="dino-ir",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Take noise, blur, rain and haze out of photos, blind: one model, guided by robust DINO features.",
)
app.add_typer(weight_verbs)


@app.callback()
def main(version: VersionOption = False) -> None:
    """Hold what is common to all verbs."""
    share_cores()
    keep_freed_memory()


@app.command()
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
        from dino_ir.photos import Coding, plan, restore_files

        jobs = plan(paths, out, suffix)
        restorer = _load(weights, device)
        coding = Coding(quality, depth, max_pixels)
        _report(restore_files(restorer, jobs, tile, strength, overwrite, coding))


@app.command()
def train(
    recipe: RecipeArgument,
    out: Annotated[
        Path | None,
        out_option("DIR", "Folder of the run. Default: runs/NAME of the recipe."),
    ] = None,
    data: DataOption = None,
    init: InitOption = None,
    max_minutes: MinutesOption = float("inf"),
    settings: SettingsOption = None,
    device: DeviceOption = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare batches.")] = 0,
    compiled: CompiledOption = False,
    tensorboard: TensorboardOption = False,
) -> None:
    """Train what a recipe describes. Ctrl-C stops cleanly; the same command goes on later."""
    with plain_errors():
        from dino_ir.inference import find_device
        from dino_ir.processes import is_first
        from dino_ir.recipe import Recipe
        from dino_ir.training import Run
        from dino_ir.training import train as train_recipe
        from dino_ir.validation import Validation

        plan = Recipe.read(recipe, settings or [])
        folder = out or Path("runs") / recipe.stem
        with progress_bar() as show, stop_on_signal() as stop:
            run = Run(
                folder=folder,
                data=data,
                init=init,
                device=str(find_device(device)),
                workers=workers,
                compiled=compiled,
                max_minutes=max_minutes,
                stop=stop,
                report=show,
                tell=say,
                validate=Validation.read(plan.validation, data, folder),
                tensorboard=tensorboard,
            )
            outcome = train_recipe(plan, run)
        if is_first():
            say(f"Weights: {outcome.weights}")
            if not outcome.is_done:
                say(f"Stopped. The same command goes on from {folder}.")


@app.command()
def evaluate(
    benchmarks: Annotated[
        list[str],
        typer.Argument(
            metavar="BENCHMARK", help="Names, TOML files, or all; a wrong name lists those there are."
        ),
    ],
    weights: WeightsOption = "default",
    restorer: RestorerOption = None,
    data: DataOption = None,
    out: Annotated[
        Path | None,
        out_option("DIR", "Folder for a CSV per benchmark and the table."),
    ] = None,
    device: DeviceOption = "auto",
    tile: TileOption = "auto",
) -> None:
    """Score a restorer on benchmarks, beside the degraded input. Prints a Markdown table."""
    with plain_errors():
        from dino_ir.benchmark import benchmark_names, read_benchmarks
        from dino_ir.catalog import build, read_table
        from dino_ir.evaluation import METRICS, as_markdown, write_results
        from dino_ir.evaluation import evaluate as score_benchmark

        names = benchmark_names() if benchmarks == ["all"] else benchmarks
        read = read_benchmarks(names, data)
        subject = build("restorers", read_table(restorer)).eval() if restorer else _load(weights, device)
        results = {}
        for name, benchmark in read.items():
            with console.status(name):
                results[name] = list(score_benchmark(subject, benchmark, METRICS, tile))
        table = as_markdown({read[name].title: rows for name, rows in results.items()})
        if out:
            write_results(results, table, out)
    sys.stdout.write(table + "\n")


@app.command()
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

        _report(write_degraded_sheets(photos, read_degradations(names), out, columns, seed))


@app.command()
def check(
    recipe: RecipeArgument,
    data: DataOption = None,
    out: Annotated[
        Path | None,
        out_option("FILE", "The sheet. Default: NAME_check.png, here."),
    ] = None,
    settings: SettingsOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Foresee memory and time, look at every picture a recipe names, and write a sheet of what is seen.

    The exit code is 1 if a picture cannot be used or weights are missing, and 2 if the recipe is wrong.
    """
    with plain_errors():
        from dino_ir.forecast import foresee, missing_weights
        from dino_ir.inference import find_device
        from dino_ir.inspection import inspect_pictures, write_feed_sheet
        from dino_ir.recipe import Recipe
        from dino_ir.training import build_sources
        from dino_ir.validation import Validation

        plan = Recipe.read(recipe, settings or [])
        for line in foresee(plan, str(find_device(device))):
            say(line)
        problems = missing_weights(plan)
        for line in problems:
            say(line, style="red")
        sources = build_sources(plan, data)
        benchmarks = Validation.read(plan.validation, data, Path()).benchmarks
        for finding in inspect_pictures(sources, plan, benchmarks):
            say(f"{finding.name}: {finding.readable} pictures{finding.note}")
            for line in finding.problems:
                say(f"  {line}", style="red")
            problems += finding.problems
        if not problems:
            sheet = out or Path(f"{recipe.stem}_check.png")
            write_feed_sheet(sources, plan, sheet)
            say(sheet)
    if problems:
        raise typer.Exit(1)


@app.command("list")
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


@app.command()
def doctor() -> None:
    """Show versions, devices and weights, and whether the weight files are whole."""
    with plain_errors():
        from dino_ir.diagnosis import diagnose

        report = diagnose()
        for name, finding in report.findings.items():
            say(f"{name:24} {finding}")
    if not report.is_well:
        raise typer.Exit(1)


@app.command()
def demo(
    out: Annotated[Path, out_option("DIR", "Folder for the sheets.")] = Path("demo"),
    weights: WeightsOption = "default",
    device: DeviceOption = "auto",
) -> None:
    """Damage photos that come with scikit-image four ways, restore them blind, and show it."""
    with plain_errors():
        from dino_ir.demo import demonstrate

        for line in demonstrate(_load(weights, device), out):
            say(line)


def _report(results: "Iterable[Result]") -> None:
    """Print a line per photo as it comes, and a last one where there were several."""
    from dino_ir.photos import tally

    seen: list[Result] = []
    for result in results:
        say(result, style="red" if result.status == "failed" else None)
        seen.append(result)
    if len(seen) > 1:
        say(tally(seen))
    if any(result.status == "failed" for result in seen):
        raise typer.Exit(1)


def _load(weights: str, device: str) -> "Restorer":
    from dino_ir.inference import load

    return load(weights, device)
