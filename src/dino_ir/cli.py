"""The command line: parse, call one function, print. No work happens here."""

import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from dino_ir.errors import DinoIRError

if TYPE_CHECKING:
    from dino_ir.contracts import Restorer
    from dino_ir.training import Step

app = typer.Typer(
    name="dino-ir",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Take noise, blur, rain and haze out of photos, blind: one model, guided by robust DINO features.",
)
console = Console()
errors = Console(stderr=True)

DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
WeightsOption = Annotated[
    str, typer.Option(help="A shipped name (see `dino-ir doctor`) or a .safetensors file.")
]
TileOption = Annotated[str, typer.Option(help="auto, off, or the side of a tile in pixels.")]
DataOption = Annotated[
    Path | None,
    typer.Option(envvar="DINO_IR_DATA", help="Folder that the roots of datasets are relative to."),
]


@contextmanager
def plain_errors() -> Generator[None]:
    """Turn an error a user can cause into one sentence and exit code 1."""
    try:
        yield
    except DinoIRError as problem:
        errors.print(f"dino-ir: {problem}", style="red", highlight=False, soft_wrap=True, markup=False)
        raise typer.Exit(1) from None


@app.command()
def restore(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Photos, or folders of photos.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", help="A file for one photo, else a folder. Default: NAME_restored beside it."
        ),
    ] = None,
    weights: WeightsOption = "default",
    device: DeviceOption = "auto",
    tile: TileOption = "auto",
    strength: Annotated[
        float, typer.Option(min=0, max=1, help="0 gives the photo back, 1 restores fully.")
    ] = 1.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results that exist.")] = False,
) -> None:
    """Restore photos. Originals are never touched; what exists is skipped."""
    with plain_errors():
        from dino_ir.photos import plan, restore_files

        jobs = plan(paths, out)
        restorer = _load(weights, device)
        failed = 0
        for result in restore_files(restorer, jobs, parse_tile(tile), strength, overwrite):
            console.print(str(result), highlight=False, soft_wrap=True, markup=False)
            failed += result.status == "failed"
    if failed:
        raise typer.Exit(1)


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="A TOML file; see recipes/.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder of the run. Default: runs/NAME of the recipe.")
    ] = None,
    data: DataOption = None,
    init: Annotated[str | None, typer.Option(help="Weights to start from.")] = None,
    max_minutes: Annotated[float, typer.Option(help="Stop then; the same command goes on later.")] = float(
        "inf"
    ),
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe: phase.0.steps=10"),
    ] = None,
    device: DeviceOption = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare batches.")] = 0,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Log for TensorBoard too (extra `track`).")
    ] = False,
) -> None:
    """Train what a recipe describes. Ctrl-C stops cleanly; the same command goes on."""
    with plain_errors():
        from dino_ir.inference import find_device
        from dino_ir.ops.allocator import keep_freed_memory
        from dino_ir.recipe import Recipe
        from dino_ir.training import Run
        from dino_ir.training import train as train_recipe
        from dino_ir.validation import Validation

        keep_freed_memory()
        plan = Recipe.read(recipe, settings or [])
        folder = out or Path("runs") / recipe.stem
        with progress_bar() as show, stop_on_signal() as stop:
            run = Run(
                folder=folder,
                data=data,
                init=init,
                device=find_device(device).type,
                workers=workers,
                max_minutes=max_minutes,
                stop=stop,
                report=show,
                validate=Validation.read(plan.validation, data, folder),
                tensorboard=tensorboard,
            )
            weights = train_recipe(plan, run)
    console.print(f"Weights: {weights}" if weights else f"Stopped. The same command goes on from {folder}.")


@app.command()
def evaluate(
    benchmarks: Annotated[
        list[str], typer.Argument(metavar="BENCHMARK...", help="Names (all: every one) or TOML files.")
    ],
    weights: WeightsOption = "default",
    restorer: Annotated[
        str | None, typer.Option(help="A restorer without weights instead, such as identity.")
    ] = None,
    data: DataOption = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder for a CSV per benchmark and the table.")
    ] = None,
    device: DeviceOption = "auto",
    tile: TileOption = "auto",
) -> None:
    """Score a restorer on benchmarks, beside the degraded input."""
    with plain_errors():
        from dino_ir.catalog import build
        from dino_ir.evaluation import as_markdown, benchmark_names, read_benchmark, write_results
        from dino_ir.evaluation import evaluate as score_benchmark

        names = benchmark_names() if benchmarks == ["all"] else benchmarks
        read = [read_benchmark(name, data) for name in names]
        subject = build("restorers", {"name": restorer}).eval() if restorer else _load(weights, device)
        metrics = {"psnr": build("metrics", {"name": "psnr"}), "ssim": build("metrics", {"name": "ssim"})}
        results = {}
        for name, benchmark in zip(names, read):
            with console.status(name):
                results[name] = list(score_benchmark(subject, benchmark, metrics, parse_tile(tile)))
        table = as_markdown({read[i].title: results[name] for i, name in enumerate(names)})
        if out:
            write_results(results, table, out)
    sys.stdout.write(table + "\n")


@app.command()
def degrade(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="Clean photos.")],
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--with", metavar="NAME", help='A degradation, or a table: {name="rain", strength="heavy"}'
        ),
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for a sheet per photo.")] = Path(
        "degraded"
    ),
    columns: Annotated[int, typer.Option(min=1, help="Damaged versions of each.")] = 3,
    seed: int = 0,
) -> None:
    """Write a sheet of damaged versions of each photo, to see what a restorer learns from."""
    with plain_errors():
        from dino_ir.inspection import read_degradations, write_degraded_sheet

        degradations = read_degradations(names)
        for photo in photos:
            path = out / f"{photo.stem}.png"
            write_degraded_sheet(photo, degradations, path, columns, seed)
            console.print(str(path), highlight=False, soft_wrap=True, markup=False)


@app.command()
def check(
    recipe: Annotated[Path, typer.Argument(help="A TOML file; see recipes/.")],
    data: DataOption = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The sheet. Default: NAME_check.png here.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe.")
    ] = None,
) -> None:
    """Look at every picture a recipe names, and write a sheet of what its restorer will see."""
    with plain_errors():
        from dino_ir.inspection import inspect_sources, write_feed_sheet
        from dino_ir.recipe import Recipe
        from dino_ir.training import build_learner, build_sources

        plan = Recipe.read(recipe, settings or [])
        learner = build_learner(plan)
        trained = sum(p.numel() for p in learner.parameters() if p.requires_grad)
        console.print(f"{trained:,} parameters to train, {plan.steps:,} steps", highlight=False)
        sources = build_sources(plan, data)
        problems = 0
        for finding in inspect_sources(sources, plan):
            console.print(f"{finding.dataset}: {finding.readable} pictures", highlight=False, soft_wrap=True)
            for line in finding.problems:
                console.print(f"  {line}", style="red", highlight=False, soft_wrap=True, markup=False)
            problems += len(finding.problems)
        if not problems:
            sheet = out or Path(f"{recipe.stem}_check.png")
            write_feed_sheet(sources, plan, sheet)
            console.print(str(sheet), highlight=False, soft_wrap=True, markup=False)
    if problems:
        raise typer.Exit(1)


@app.command("list")
def list_parts(
    shelf: Annotated[
        str | None, typer.Argument(help="networks, priors, degradations, ...; default: all.")
    ] = None,
) -> None:
    """List the parts a recipe can name, and what each is."""
    with plain_errors():
        from dino_ir.catalog import SHELVES, names, summary

        for each in [shelf] if shelf else SHELVES:
            console.print(f"[bold]{each}[/bold]")
            for name in names(each):
                console.print(
                    f"  {name:18} {summary(each, name)}", highlight=False, soft_wrap=True, markup=False
                )


@app.command()
def doctor() -> None:
    """Show versions, devices and weights, and whether the weight files are whole."""
    with plain_errors():
        from dino_ir.diagnosis import diagnose

        report = diagnose()
        for name, finding in report.findings.items():
            console.print(f"{name:24} {finding}", highlight=False, soft_wrap=True, markup=False)
    if not report.is_well:
        raise typer.Exit(1)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the sheets.")] = Path("demo"),
    weights: WeightsOption = "default",
    device: DeviceOption = "auto",
) -> None:
    """Damage photos that come with scikit-image four ways, restore them blind, and show it."""
    with plain_errors():
        from dino_ir.demo import demonstrate

        for line in demonstrate(_load(weights, device), out):
            console.print(line, highlight=False, soft_wrap=True, markup=False)


def parse_tile(text: str) -> int | str:
    """Read a tile option: auto, off or a number of pixels.

    Raises:
        typer.BadParameter: something else.
    """
    if text in ("auto", "off"):
        return text
    if not text.isdigit() or int(text) < 1:
        raise typer.BadParameter(f"tile is auto, off or a number of pixels, got {text!r}")
    return int(text)


@contextmanager
def stop_on_signal() -> Generator[Callable[[], bool]]:
    """Yield a question that is answered by yes once Ctrl-C or a termination signal has come."""
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    kept = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


@contextmanager
def progress_bar() -> Generator[Callable[["Step"], None]]:
    """Yield a function that shows a training step: loss, crops a second, time left."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns: list[Any] = [BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}")]
    with Progress(*columns, console=errors, refresh_per_second=2) as progress:
        bar = progress.add_task("starting")

        def show(step: "Step") -> None:
            minutes, seconds = divmod(round(step.seconds_left), 60)
            loss = step.values.get("pixel", sum(step.values.values()))
            words = f"loss {loss:.4f}  {step.crops_per_second:.1f} crops/s  {minutes}:{seconds:02d} left"
            progress.update(bar, completed=step.step, total=step.steps, description=words)

        yield show


def _load(weights: str, device: str) -> "Restorer":
    from dino_ir.inference import load
    from dino_ir.ops.allocator import keep_freed_memory

    keep_freed_memory()
    return load(weights, device)
