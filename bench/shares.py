"""Which experts a gate asks: the table of docs/training-log.md.

python bench/shares.py WEIGHTS BENCHMARK ... --data DIR [--limit N]
"""

import argparse
from pathlib import Path

import torch

from dino_ir.benchmark import read_benchmarks
from dino_ir.inference import load
from dino_ir.networks.experts import Experts
from dino_ir.ops.pad import pad_to_multiple


def main() -> None:
    """Print a Markdown table: a row for each benchmark, the mean shares of its photos."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "weights", help="of a restorer with experts: a file, or a name that comes with the package"
    )
    parser.add_argument("benchmarks", nargs="+", help="names or files")
    parser.add_argument("--data", type=Path, help="the data folder; default: DINO_IR_DATA")
    parser.add_argument("--limit", type=int, help="photos of each")
    arguments = parser.parse_args()
    network = getattr(load(arguments.weights, "cpu"), "network", None)
    if not isinstance(network, Experts):
        parser.error(f"{arguments.weights} has no experts")
    count = len(network.experts)
    print(
        f"| benchmark | {' | '.join(f'expert {number}' for number in range(count))} | asked most, by photos |"
    )
    print(f"|---|{'---:|' * count}---|")
    for benchmark in read_benchmarks(arguments.benchmarks, arguments.data).values():
        photos = range(min(arguments.limit or len(benchmark.dataset), len(benchmark.dataset)))
        rows = torch.stack([_shares(network, benchmark.images(index)[1]) for index in photos])
        most = rows.argmax(dim=1).bincount(minlength=count).tolist()
        means = " | ".join(f"{share:.2f}" for share in rows.mean(dim=0).tolist())
        print(f"| {benchmark.title} | {means} | {', '.join(map(str, most))} |")


@torch.inference_mode()
def _shares(network: Experts, photo: torch.Tensor) -> torch.Tensor:
    return network.shares(pad_to_multiple(photo[None], network.multiple_of))


if __name__ == "__main__":
    main()
