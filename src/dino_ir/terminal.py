"""How commands speak: lines, errors in one sentence, a progress bar, and Ctrl-C that stops cleanly."""

import io
import os
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from dino_ir.errors import DinoIRError, ImageError, TrainingError

if TYPE_CHECKING:
    from dino_ir.pace import Step
    from dino_ir.restoration import Result

__all__ = [
    "console",
    "plain_errors",
    "progress_bar",
    "report",
    "say",
    "share_cores",
    "stop_on_signal",
    "tile_bar",
    "write_any_name",
]

FAILED, WRONG_USAGE = 1, 2
"""Exit codes: a file or a run failed; or what was asked for cannot be begun."""

MANY_TILES = 8
"""Photos of more are worth a progress bar."""

_MOMENT = 1.0  # seconds within which a signal is the echo of another

console = Console()
_errors = Console(stderr=True)


def say(line: object, style: str | None = None) -> None:
    """Print a line as it is: not wrapped, and with no bracket taken for markup."""
    console.print(str(line), style=style, highlight=False, soft_wrap=True, markup=False)


def report(results: "Iterable[Result]") -> None:
    """Print a line per photo as it comes, and a last one where there were several.

    Raises:
        typer.Exit: a photo failed, or was kept as it was.
    """
    from dino_ir.restoration import tally

    seen: list[Result] = []
    for result in results:
        say(result, style="red" if result.status in ("failed", "kept") else None)
        seen.append(result)
    if len(seen) > 1:
        say(tally(seen))
    if any(result.status in ("failed", "kept") for result in seen):
        raise typer.Exit(FAILED)


@contextmanager
def plain_errors() -> Generator[None]:
    """Turn an error a user can cause into one sentence and an exit code.

    A picture or a run that fails is 1. A wrong name, option, folder, device or weight file is 2: wrong usage.
    """
    try:
        yield
    except DinoIRError as problem:
        _complain(str(problem))
        raise typer.Exit(FAILED if isinstance(problem, ImageError | TrainingError) else WRONG_USAGE) from None
    except OSError as problem:  # a folder that cannot be made, a full disk
        _complain(f"{problem.filename or 'the system says'}: {problem.strerror or problem}")
        raise typer.Exit(FAILED) from None


@contextmanager
def stop_on_signal() -> Generator[Callable[[], bool]]:
    """Yield a question that is answered by yes once Ctrl-C or a termination signal has come.

    One that comes more than a second later interrupts at once. Under torchrun one Ctrl-C comes twice: from
    the terminal, and again from torchrun, within moments.
    """
    came: list[float] = []

    def note(_number: int, _frame: FrameType | None) -> None:
        came.append(time.monotonic())
        if came[-1] - came[0] > _MOMENT:
            raise KeyboardInterrupt

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

    from dino_ir.processes import is_first

    columns: list[Any] = [BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}")]
    with Progress(*columns, console=_errors, refresh_per_second=2, disable=not is_first()) as progress:
        bar = progress.add_task("starting", total=None)

        def show(step: "Step") -> None:
            minutes, seconds = divmod(round(step.seconds_left), 60)
            loss = step.values.get("pixel", sum(step.values.values()))
            words = f"loss {loss:.4f}  {step.crops_per_second:.1f} crops/s  {minutes}:{seconds:02d} left"
            progress.update(bar, completed=step.step, total=step.steps, description=words)

        yield show


@contextmanager
def tile_bar() -> Generator[Callable[[int, int], None]]:
    """Yield a function that shows how many tiles of a photo are done, and the time left."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns: list[Any] = [BarColumn(), TextColumn("{task.percentage:.0f} %"), TimeRemainingColumn()]
    with Progress(*columns, console=_errors, transient=True, disable=not _errors.is_terminal) as progress:
        bar = progress.add_task("", visible=False)

        def show(done: int, total: int) -> None:
            if done == 1:
                progress.reset(bar, total=total, visible=total > MANY_TILES)
            progress.update(bar, completed=done, visible=total > MANY_TILES and done < total)

        yield show


def share_cores() -> None:
    """Let threads that wait sleep instead of spinning, unless the user's environment says otherwise.

    It must come before torch is loaded. Where another program keeps a core busy, spinning threads
    hold each other up: 10 megapixels took 142 s beside a busy core, and 19 s with sleeping threads; on
    an idle machine 10 s and 12 s (two cores, measured once).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def write_any_name() -> None:
    """Write names that the encoding of the output lacks by their numbers, instead of failing at them."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _complain(sentence: str) -> None:
    _errors.print(f"dino-ir: {sentence}", style="red", highlight=False, soft_wrap=True, markup=False)
