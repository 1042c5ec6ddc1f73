"""The verbs that train a recipe, and look at one before it is trained."""

from pathlib import Path
from typing import Annotated

import typer

from dino_ir.arguments import (
    CompiledOption,
    DataOption,
    DeviceOption,
    InitOption,
    MinutesOption,
    RecipeArgument,
    SettingsOption,
    TensorboardOption,
    out_option,
)
from dino_ir.terminal import plain_errors, progress_bar, say, stop_on_signal

__all__ = ["check", "train"]


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
        from dino_ir.processes import is_first, leave
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
    leave()


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
