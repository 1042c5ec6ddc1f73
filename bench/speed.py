"""How fast we restore, beside the same networks written the usual way (`make bench`).

All sides take turns within one run, each in a process of its own: ours as the command line runs it, the
peer as plain Python does. Each row says ms, GFLOP/s, the share of the peak (a matrix product of the same
precision, measured in the same run), the most memory of the process, and how many times the peer's speed.

python bench/speed.py [--only NAME ...] [--repeats 5] [--backends torch openvino onnx]

The peers are `bench/plain_*.py`; with --spandrel DIR the published networks, as spandrel has them, where
pip install --no-deps --target DIR torchvision==0.16.2 spandrel spandrel_extra_arches einops
put them: a folder of their own, for torchvision of any later version cannot be imported beside a CPU build
of torch, and this one reads no pictures there.
"""

import argparse
import math
import sys
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from machine import PRODUCT, Side, Times, as_markdown, product, take_turns, where_and_when, write_rows
from plain_nafnet import PlainNAFNet
from plain_restormer import PlainRestormer
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dino_ir.backends import use_backend
from dino_ir.catalog import build
from dino_ir.contracts import Restorer, View
from dino_ir.inference import load, restore

Work = Callable[[], object]

NAFNET = {"width": 32, "encoder": [2, 2, 4, 8], "middle": 12, "decoder": [2, 2, 2, 2]}
DEFAULT = {"width": 16, "encoder": [1, 1, 2, 4], "middle": 2, "decoder": [1, 1, 1, 1]}
RESTORMER = {"dim": 48, "depths": [4, 6, 6, 8], "heads": [1, 2, 4, 8], "refine": 4}
CASES: dict[str, tuple[str, Mapping[str, Any], tuple[int, int], int | str]] = {
    "restormer-256": ("restormer", RESTORMER, (256, 256), "off"),
    "restormer-512": ("restormer", RESTORMER, (512, 512), 256),
    "nafnet-256": ("nafnet", NAFNET, (256, 256), "off"),
    "nafnet-512": ("nafnet", NAFNET, (512, 512), 256),
    "default-512": ("nafnet", DEFAULT, (512, 512), "off"),
    "default-1024": ("nafnet", DEFAULT, (1024, 1024), 512),
    "default-12mp": ("default", DEFAULT, (3000, 4000), 512),
    "default-12mp-256": ("default", DEFAULT, (3000, 4000), 256),
}
"""Network, its options, the photo's size, and the tiles that ours is restored in; the peer takes it whole,
and where that would not fit into memory in tiles of 512. "default" is the whole restorer, with its prior,
which neither the peer nor `gflops` counts."""

COLUMNS = (
    *("case", "side", "precision", "ms", "ms_first", "gflops", "peak_share"),
    *("memory_mb", "ratio", "ratio_median"),
)
OFTEN = 17  # times that a size comes before OpenVINO has made the graph of that very size


def main() -> None:
    """Measure, print and write."""
    arguments = parse()
    for case in arguments.only:
        rows = measure(case, arguments)
        print(as_markdown(rows, COLUMNS), flush=True)
        write_rows(rows, arguments.out)
    print(f"written to {arguments.out}")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--backends", nargs="+", default=["torch"], help="torch, openvino, onnx")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--spandrel", metavar="DIR", help="see above")
    parser.add_argument("--busy", action="store_true", help="other programs run: let all threads sleep")
    parser.add_argument("-o", "--out", type=Path, default=Path("results/restoring_speed.csv"))
    return parser.parse_args()


def measure(case: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of one case: each backend in both precisions, and the peer."""
    threads, busy = arguments.threads, arguments.busy
    place = where_and_when(threads, busy)
    name, options, size, tile = CASES[case]
    shared = {"name": name, "options": options, "size": size}
    peer = "spandrel" if arguments.spandrel else "plain"
    peers = {**shared, "packages": arguments.spandrel}
    sides = {(peer, "float32"): Side(prepare_peer, peers, as_command=False)}
    for backend in arguments.backends:
        for precision in ("float32", "bfloat16") if backend != "onnx" else ("float32",):
            made = {**shared, "tile": tile, "backend": backend, "precision": precision}
            sides[backend, precision] = Side(prepare_ours, made)
    peaks = {("peak", each): Side(product, {"precision": each}) for each in ("float32", "bfloat16")}
    keys = [*sides, *peaks]
    times = take_turns(
        {"/".join(key): {**sides, **peaks}[key] for key in keys}, arguments.repeats, threads, busy
    )
    flops = count_flops(peer_network(name, options), size)
    peak = {each: 2 * PRODUCT**3 / times[f"peak/{each}"].best for each in ("float32", "bfloat16")}
    theirs = times[f"{peer}/float32"]
    return [
        {
            **place,
            "case": case,
            "tile": tile if side != peer else "off",
            "side": side,
            "precision": precision,
        }
        | describe(times[f"{side}/{precision}"], theirs, flops, peak[precision])
        for side, precision in sides
    ]


def describe(ours: Times, peer: Times, flops: float, peak: float) -> dict[str, Any]:
    """The numbers of one row; `gflops` counts each pixel once, though overlapping tiles do some twice."""
    return {
        "ms": round(1000 * ours.best, 1),
        "ms_median": round(1000 * ours.median, 1),
        "ms_first": round(1000 * ours.first, 1),
        "gflops": round(flops / ours.best / 1e9, 1),
        "peak_gflops": round(peak / 1e9, 1),
        "peak_share": round(flops / ours.best / peak, 3),
        "memory_mb": round(ours.megabytes),
        "ratio": round(peer.best / ours.best, 2),
        "ratio_median": round(peer.median / ours.median, 2),
        "repeats": len(ours.seconds),
    }


def prepare_ours(
    name: str,
    options: Mapping[str, Any],
    size: tuple[int, int],
    tile: int | str,
    backend: str,
    precision: str,
) -> Work:
    """A photo through our restorer: a network on its own, or the default weights."""
    torch.manual_seed(0)
    table = {"name": "plain", "network": {"name": name, **options}}
    restorer = load("default", "cpu") if name == "default" else build("restorers", table).eval()
    fast = use_backend(restorer, backend, exact=precision == "float32")
    work = partial(restore, fast, torch.rand(1, 3, *size), tile=tile)
    if backend == "openvino" and tile == "off":
        for _ in range(OFTEN):
            work()
    return work


def prepare_peer(name: str, options: Mapping[str, Any], size: tuple[int, int], packages: str | None) -> Work:
    """A photo through the published network or a plain one, whole; in tiles where memory would not do."""
    torch.manual_seed(0)
    network = published_network(name, options, packages) if packages else peer_network(name, options)
    network.eval()
    photo = torch.rand(1, 3, *size)
    if math.prod(size) > 2048**2:
        return partial(restore, _Plain(network), photo)

    def work() -> Tensor:
        with torch.inference_mode():
            return network(photo)

    return work


def published_network(name: str, options: Mapping[str, Any], packages: str) -> nn.Module:
    """The network of its authors, by spandrel in the folder `packages`."""
    sys.path.append(packages)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision misses the part that reads pictures
        from spandrel.architectures.NAFNet import NAFNet  # pyright: ignore
        from spandrel_extra_arches.architectures.Restormer import Restormer  # pyright: ignore
    if name == "restormer":
        blocks = {"num_blocks": options["depths"], "num_refinement_blocks": options["refine"]}
        return Restormer(dim=options["dim"], heads=options["heads"], **blocks)
    blocks = {"enc_blk_nums": options["encoder"], "dec_blk_nums": options["decoder"]}
    return NAFNet(width=options["width"], middle_blk_num=options["middle"], **blocks)


def peer_network(name: str, options: Mapping[str, Any]) -> nn.Module:
    """The network written the usual way."""
    return PlainRestormer(**options) if name == "restormer" else PlainNAFNet(**options)


def count_flops(network: nn.Module, size: tuple[int, int]) -> float:
    """Operations of one photo, a multiplication and an addition counting as two."""
    padded = [math.ceil(side / 16) * 16 for side in size]
    with FlopCounterMode(display=False) as counter:
        network.to("meta")(torch.empty(1, 3, *padded, device="meta"))
    return float(counter.get_total_flops())


class _Plain(Restorer):
    multiple_of = 16

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, degraded: Tensor, view: View | None = None) -> Tensor:
        return self.network(degraded)


if __name__ == "__main__":
    main()
