"""What the measurements share: sides that take turns, each in a process, and rows that name the machine."""

import csv
import datetime
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import torch

from dino_ir.ops.allocator import keep_freed_memory

__all__ = [
    "Side",
    "Times",
    "Work",
    "as_markdown",
    "machine",
    "most_memory",
    "product",
    "take_turns",
    "where_and_when",
    "write_rows",
]

Work = Callable[[], object]

PRODUCT = 2048  # side of the matrices whose product is the peak


@dataclass(frozen=True)
class Side:
    """What is measured: a function that prepares it and returns the work to time."""

    prepare: Callable[..., Work]
    options: Mapping[str, Any] = field(default_factory=dict)
    as_command: bool = True  # with what `dino-ir` sets for its process; False: as Python comes


@dataclass(frozen=True)
class Times:
    """Seconds of each turn after the first, and the most memory the process held."""

    seconds: list[float]
    first: float
    megabytes: float

    @property
    def best(self) -> float:
        """The fastest turn."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """The turn in the middle."""
        return median(self.seconds)


def take_turns(sides: Mapping[str, Side], repeats: int, threads: int, busy: bool = False) -> dict[str, Times]:
    """Let each side work in turn, `repeats` times after a first one that warms up.

    Each has a process of its own, so that neither memory nor the allocator's settings are shared; while
    one works the others wait, so that whatever else the machine does falls on all.

    Args:
        sides: by name.
        repeats: turns that count.
        threads: of torch, on each side.
        busy: let the threads of all sides sleep while they wait. Beside other programs, threads that spin,
            as they do in plain Python, take ten times as long: on a busy machine nothing else would be seen.
    """
    context = multiprocessing.get_context("spawn")
    lines: dict[str, Connection] = {}
    for name, side in sides.items():
        lines[name], theirs = context.Pipe()
        os.environ.pop("OMP_WAIT_POLICY", None)
        if side.as_command or busy:
            os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        context.Process(target=_work, args=(theirs, side, threads), daemon=True).start()
        lines[name].recv()  # it has prepared itself
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _turn in range(repeats + 1):
        for name, line in lines.items():
            line.send(True)
            seconds[name].append(line.recv())
    times: dict[str, Times] = {}
    for name, line in lines.items():
        line.send(False)
        times[name] = Times(seconds[name][1:], seconds[name][0], line.recv())
    return times


def _work(line: Connection, side: Side, threads: int) -> None:
    torch.set_num_threads(threads)
    if side.as_command:
        keep_freed_memory()
    work = side.prepare(**side.options)
    line.send(True)
    while line.recv():
        start = time.perf_counter()
        work()
        line.send(time.perf_counter() - start)
    line.send(most_memory())


def most_memory() -> float:
    """Megabytes that this process has held at most; 0 on Windows, which does not say."""
    try:
        import resource
    except ImportError:
        return 0.0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)  # macOS counts bytes, Linux kilobytes


def product(precision: str) -> Work:
    """A product of square matrices: what counts as the machine's peak. See `PRODUCT`."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    left, right = (torch.rand(PRODUCT, PRODUCT, dtype=dtype) for _ in range(2))
    return lambda: left @ right


def machine() -> str:
    """The processor and how many cores it shows."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def where_and_when(threads: int, busy: bool = False) -> dict[str, Any]:
    """The first columns of every row; `load` is that of other programs, before anything has begun;
    Windows has none.
    """
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine(),
        "torch": torch.__version__,
        "threads": threads,
        "busy": "yes" if busy else "no",
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else "",
    }


def write_rows(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Add rows to a CSV file; a new one gets a head."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        if is_new:
            writer.writeheader()
        writer.writerows(rows)


def as_markdown(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """A table of some columns."""
    lines = [columns, ["---"] * len(columns), *([str(row[name]) for name in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
