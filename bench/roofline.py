"""What each kind of layer takes, and what the machine could give it: where the rest of the time goes.

Every operation of one pass is timed as it runs; its arithmetic and the least memory it must touch (each input
read once, each result written once) are set against a matrix product and a copy, measured in the same run.

python bench/roofline.py [default|nafnet|restormer] [--side 512] [--precision float32]
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from machine import PRODUCT, as_markdown, product, where_and_when
from speed import NAFNET, RESTORMER
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from dino_ir.catalog import build
from dino_ir.contracts import Restorer, View
from dino_ir.inference import load
from dino_ir.ops.allocator import keep_freed_memory

COPIED = 1 << 26  # numbers in the copy that measures the memory's speed
COLUMNS = ("kind", "calls", "ms", "share", "gflop", "gbyte", "of peak product", "of memory speed")


@dataclass
class Total:
    """What the operations of one kind took together."""

    calls: int = 0
    seconds: float = 0.0
    flops: float = 0.0
    bytes: float = 0.0


class Watch(TorchDispatchMode):
    """Times every operation and adds it up by kind."""

    def __init__(self) -> None:
        super().__init__()
        self.totals: defaultdict[str, Total] = defaultdict(Total)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        start = time.perf_counter()
        result = func(*args, **(kwargs or {}))
        seconds = time.perf_counter() - start
        if func.is_view:
            return result
        total = self.totals[kind_of(func, args)]
        count = flop_registry.get(func.overloadpacket)
        total.calls += 1
        total.seconds += seconds
        total.flops += count(*args, **(kwargs or {}), out_val=result) if count else 0
        total.bytes += sum(each.nbytes for each in [*tensors(args), *tensors(result)])
        return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", nargs="?", choices=("default", "nafnet", "restormer"), default="default")
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    work = prepare(arguments.network, arguments.side)
    with torch.no_grad(), precision(arguments.precision):  # in inference mode some layers hide what they do
        totals, seconds = watch(work, arguments.repeats)
        peak = 2 * PRODUCT**3 / best(product(arguments.precision), arguments.repeats)
    source, target = torch.zeros(COPIED), torch.zeros(COPIED)
    speed = 2 * source.nbytes / best(lambda: target.copy_(source), arguments.repeats)
    print(f"{where_and_when(arguments.threads)}")
    print(
        f"{arguments.network}, side {arguments.side}, {arguments.precision}: {1000 * seconds:.1f} ms in all"
    )
    print(f"peak {peak / 1e9:.0f} GFLOP/s, memory {speed / 1e9:.0f} GB/s\n")
    print(as_markdown(list(rows(totals, peak, speed)), COLUMNS))


def prepare(network: str, side: int) -> Callable[[], Tensor]:
    """A square photo through a network; the default restorer is guided, by a photo of 12 megapixels."""
    degraded = torch.rand(1, 3, side, side)
    if network == "default":
        guided = load("default", "cpu")
        with torch.no_grad():
            described = guided.look(torch.rand(1, 3, 3000, 4000))
        assert described is not None
        view = View(described, torch.tensor([[0.1, 0.2, 0.3, 0.4]]))
        return lambda: guided(degraded, view)
    options = {"nafnet": NAFNET, "restormer": RESTORMER}[network]
    alone: Restorer = build("restorers", {"name": "plain", "network": {"name": network, **options}}).eval()
    return lambda: alone(degraded)


@contextmanager
def precision(name: str) -> Generator[None]:
    """What the command line computes in."""
    with torch.autocast("cpu", torch.bfloat16, enabled=name == "bfloat16"):
        yield


def watch(work: Callable[[], Tensor], repeats: int) -> tuple[Mapping[str, Total], float]:
    """The totals of the fastest of some passes, and the seconds of the fastest one that was not watched."""
    unwatched = best(work, repeats)
    passes: list[Watch] = []
    for _ in range(repeats):
        with Watch() as seen:
            work()
        passes.append(seen)
    fastest = min(passes, key=lambda seen: sum(total.seconds for total in seen.totals.values()))
    return fastest.totals, unwatched


def best(work: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest turn, after one that warms up."""
    work()
    seconds: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def rows(totals: Mapping[str, Total], peak: float, speed: float) -> Generator[dict[str, Any]]:
    """A row for each kind, the longest first."""
    whole = sum(total.seconds for total in totals.values())
    for kind, total in sorted(totals.items(), key=lambda item: -item[1].seconds):
        yield {
            "kind": kind,
            "calls": total.calls,
            "ms": f"{1000 * total.seconds:.2f}",
            "share": f"{total.seconds / whole:.0%}",
            "gflop": f"{total.flops / 1e9:.2f}",
            "gbyte": f"{total.bytes / 1e9:.2f}",
            "of peak product": f"{total.flops / total.seconds / peak:.0%}",
            "of memory speed": f"{total.bytes / total.seconds / speed:.0%}",
        }


def kind_of(func: Any, args: Any) -> str:
    """A layer's kind, from the operation and its sizes."""
    name = func.overloadpacket.__name__
    if name in ("convolution", "_convolution"):
        weight, groups, transposed = args[1], args[8], args[6]
        side = f"{weight.shape[-2]}x{weight.shape[-1]}"
        return (
            f"{side} depthwise"
            if groups > 1
            else f"{side} transposed"
            if transposed
            else f"{side} convolution"
        )
    kinds = {
        "layer norm": ("native_layer_norm",),
        "matrix products": ("mm", "bmm", "addmm", "baddbmm", "mkldnn_linear"),
        "products (gates, scales)": ("mul", "mul_"),
        "sums (residuals, skips)": ("add", "add_"),
        "GELU": ("gelu",),
        "copies, casts": ("_to_copy", "copy_", "clone", "cat"),
        "means, sums over pixels": ("mean", "sum"),
    }
    return next((kind for kind, names in kinds.items() if name in names), name)


def tensors(value: Any) -> list[Tensor]:
    """The tensors in arguments or results."""
    if isinstance(value, Tensor):
        return [value]
    return [each for part in value for each in tensors(part)] if isinstance(value, list | tuple) else []


if __name__ == "__main__":
    main()
