"""What a trained restorer makes of its guide: the table of docs/prior.md.

python bench/guidance.py WEIGHTS BENCHMARK ... --data DIR [--limit N]
"""

import argparse
from pathlib import Path
from typing import cast

from dino_ir.analysis.guidance import examine, guidance_as_markdown
from dino_ir.benchmark import read_benchmarks
from dino_ir.inference import load
from dino_ir.restorers.dino_ir import DinoIR


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "weights", help="of a dino_ir restorer: a file, or a name that comes with the package"
    )
    parser.add_argument("benchmarks", nargs="+", help="names or files")
    parser.add_argument("--data", type=Path, help="the data folder; default: DINO_IR_DATA")
    parser.add_argument("--limit", type=int, help="photos of each")
    arguments = parser.parse_args()
    restorer = cast(DinoIR, load(arguments.weights))
    read = read_benchmarks(arguments.benchmarks, arguments.data)
    results = {each.title: list(examine(restorer, each, arguments.limit)) for each in read.values()}
    print(guidance_as_markdown(results))


if __name__ == "__main__":
    main()
