"""What a small photo takes from the shell, beside what cannot be saved: torch's import and the arithmetic.

python bench/shell.py [--side 256] [--repeats 5]
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from machine import as_markdown, where_and_when, write_rows

from dino_ir.backends import use_backend
from dino_ir.files.images import Photo, write_photo
from dino_ir.inference import load, restore
from dino_ir.ops.allocator import keep_freed_memory

COLUMNS = ("side", "import_ms", "arithmetic_ms", "command_ms", "ratio")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=256, help="of the photo, in pixels")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("-o", "--out", type=Path, default=Path("results/shell_speed.csv"))
    arguments = parser.parse_args()
    place = where_and_when(torch.get_num_threads())
    photo = torch.rand(3, arguments.side, arguments.side, generator=torch.Generator().manual_seed(0))
    keep_freed_memory()
    fast = use_backend(load("default", "cpu"), "torch")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.png"
        write_photo(path, Photo(photo))
        program = str(Path(sys.executable).with_name("dino-ir"))
        command = [program, "restore", str(path), "-o", f"{folder}/restored", "--overwrite"]
        works: dict[str, Callable[[], object]] = {
            "import": lambda: subprocess.run([sys.executable, "-c", "import torch"], check=True),
            "arithmetic": lambda: restore(fast, photo),
            "command": lambda: subprocess.run(command, check=True, capture_output=True),
        }
        seconds = take_turns(works, arguments.repeats)
    least = seconds["import"] + seconds["arithmetic"]
    row = {
        **place,
        "side": arguments.side,
        **{f"{name}_ms": round(1000 * each) for name, each in seconds.items()},
        "ratio": round(seconds["command"] / least, 2),
    }
    print(as_markdown([row], COLUMNS))
    write_rows([row], arguments.out)


def take_turns(works: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """The median of the turns after a first one."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
    return {name: median(each[1:]) for name, each in seconds.items()}


if __name__ == "__main__":
    main()
