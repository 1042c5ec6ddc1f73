"""How fast we train and restore, beside the same network written the usual way (`make bench`).

The two sides take turns within one run, so that whatever else the machine does falls on both. Each measure
is printed, and added to a CSV file with the date and the machine.
"""

import argparse
import csv
import datetime
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from plain_nafnet import PlainNAFNet
from torch import Tensor, nn
from torch.nn import functional as F

from dino_ir.catalog import build
from dino_ir.errors import WeightsError
from dino_ir.files.weights import find_weights, read_weights
from dino_ir.inference import load, restore
from dino_ir.ops.allocator import keep_freed_memory

Work = Callable[[], object]

PHOTO = 512  # side of the photo that is restored
TILE = 256


@dataclass(frozen=True)
class Measure:
    """One side of one comparison, as a row of the CSV file; `ratio` is how many times the peer's speed."""

    date: str
    machine: str
    torch: str
    threads: int
    what: str
    unit: str
    best: float
    median: float
    peer_best: float
    peer_median: float
    ratio_of_best: float
    ratio_of_median: float
    repeats: int


def main() -> None:
    """Measure, print and write."""
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    options = default_network()
    print(f"{machine()}; torch {torch.__version__}; {arguments.threads} threads; NAFNet {options}")
    measures = [
        *measure_training(options, arguments.batch, arguments.crop, arguments.repeats),
        *measure_restoring(options, arguments.repeats),
    ]
    for one in measures:
        print(
            f"{one.what:42} {one.best:9.2f} {one.unit} at best, {one.median:9.2f} in the median; "
            f"plain {one.peer_best:9.2f}, {one.peer_median:9.2f}; "
            f"{one.ratio_of_best:.2f} and {one.ratio_of_median:.2f} times as fast"
        )
    write(measures, arguments.out)
    print(f"written to {arguments.out}")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8, help="crops in a training step")
    parser.add_argument("--crop", type=int, default=128, help="side of a crop in pixels")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("-o", "--out", type=Path, default=Path("results/speed.csv"))
    return parser.parse_args()


def default_network() -> dict[str, Any]:
    """The options of the default weights' NAFNet, or of a small one while there are no weights."""
    try:
        _, table = read_weights(find_weights("default"))
    except WeightsError:
        return {"width": 16, "encoder": [1, 1, 2, 4], "middle": 1, "decoder": [1, 1, 1, 1]}
    network = {"encoder": [1, 1, 1, 28], "middle": 1, "decoder": [1, 1, 1, 1], "width": 32}
    return network | {key: value for key, value in table["restorer"]["network"].items() if key != "name"}


def measure_training(options: Mapping[str, Any], batch: int, crop: int, repeats: int) -> list[Measure]:
    """A training step of the network alone, in float32 and in bfloat16; the peer is always float32."""
    clean = torch.rand(batch, 3, crop, crop)
    degraded = (clean + 0.1 * torch.randn_like(clean)).clamp(0, 1)
    ours = build("networks", {"name": "nafnet", **options}).to(memory_format=torch.channels_last)
    peer = PlainNAFNet(**options)
    assert count(ours) == count(peer), "the two sides are not the same network"
    step = partial(training_step, degraded, clean)
    sides = {
        "ours": step(ours, use_bfloat16=False),
        "ours bfloat16": step(ours, use_bfloat16=True),
        "peer": step(peer, use_bfloat16=False),
    }
    seconds = alternate(sides, repeats)
    what = f"training, {batch} crops of {crop}x{crop}"
    return [
        compare(f"{what}, float32", "crops/s", seconds["ours"], seconds["peer"], batch),
        compare(f"{what}, bfloat16", "crops/s", seconds["ours bfloat16"], seconds["peer"], batch),
    ]


def count(network: nn.Module) -> int:
    """How many numbers a network learns."""
    return sum(parameter.numel() for parameter in network.parameters())


def training_step(degraded: Tensor, clean: Tensor, network: nn.Module, use_bfloat16: bool) -> Work:
    """Forward, backward and AdamW, as a function to time."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=use_bfloat16):
            loss = F.l1_loss(network(degraded), clean)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def measure_restoring(options: Mapping[str, Any], repeats: int) -> list[Measure]:
    """A photo through the network alone, and through the whole default restorer where there is one."""
    photo = torch.rand(1, 3, PHOTO, PHOTO)
    ours = build("networks", {"name": "nafnet", **options}).to(memory_format=torch.channels_last).eval()
    sides: dict[str, Work] = {
        "peer": partial(PlainNAFNet(**options).eval(), photo),
        f"{PHOTO}x{PHOTO}, network alone": partial(ours, photo),
    }
    try:
        restorer = load("default", "cpu")
    except WeightsError:
        print("there are no default weights yet: only the network is measured")
    else:
        sides[f"{PHOTO}x{PHOTO}, default weights, whole"] = partial(restore, restorer, photo, tile="off")
        sides[f"{PHOTO}x{PHOTO}, default weights, tiles"] = partial(restore, restorer, photo, tile=TILE)
    with torch.inference_mode():
        seconds = alternate(sides, repeats)
    peer = seconds.pop("peer")
    return [compare(what, "ms", times, peer) for what, times in seconds.items()]


def alternate(sides: Mapping[str, Work], repeats: int) -> dict[str, list[float]]:
    """Seconds of each side, in turns; the first round warms up and does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats + 1):
        for name, work in sides.items():
            start = time.perf_counter()
            work()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def compare(
    what: str, unit: str, ours: Sequence[float], peer: Sequence[float], crops: int | None = None
) -> Measure:
    """A row from the seconds of both sides: milliseconds, or crops per second where `crops` is given."""

    def shown(seconds: float) -> float:
        return round(crops / seconds if crops else 1000 * seconds, 3)

    return Measure(
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        machine=machine(),
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        what=what,
        unit=unit,
        best=shown(min(ours)),
        median=shown(median(ours)),
        peer_best=shown(min(peer)),
        peer_median=shown(median(peer)),
        ratio_of_best=round(min(peer) / min(ours), 3),
        ratio_of_median=round(median(peer) / median(ours), 3),
        repeats=len(ours),
    )


def machine() -> str:
    """The processor and how many cores it shows."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def write(measures: Sequence[Measure], path: Path) -> None:
    """Add rows to a CSV file; a new one gets a head."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Measure)])
        if is_new:
            writer.writeheader()
        writer.writerows(asdict(one) for one in measures)


if __name__ == "__main__":
    main()
