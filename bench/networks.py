"""What each trained arm of an experiment costs on a processor: a table of docs/training-log.md.

python bench/networks.py EXPERIMENT [--side 512] [--repeats 5]

All arms take turns within one run, in bfloat16 and in float32, each in a process of its own, as the command
line runs them. Weights are random: time does not depend on them.
"""

import argparse
from functools import partial
from pathlib import Path

import torch
from machine import Side, Work, machine, take_turns

from dino_ir.backends import computes_fast_in_bfloat16, use_backend
from dino_ir.catalog import build
from dino_ir.contracts import Restorer
from dino_ir.experiment import Arm, read_experiment
from dino_ir.inference import restore
from dino_ir.recipe import Recipe


def main() -> None:
    """Print a Markdown table: a row for each arm."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", help="a name that comes with the package, or a file")
    parser.add_argument("--recipes", type=Path, default=Path("recipes"), help="where the arms' recipes are")
    parser.add_argument("--side", type=int, default=512, help="of the photo")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    arms = [arm for arm in read_experiment(arguments.experiment, "small").arms if arm.recipe]
    shared = {"recipes": arguments.recipes, "side": arguments.side}
    sides = {
        f"{arm.name}/{exact}": Side(prepare, {**shared, "arm": arm, "exact": exact})
        for arm in arms
        for exact in (False, True)
    }
    times = take_turns(sides, arguments.repeats, arguments.threads)
    print(f"{machine()}; {arguments.threads} threads; {arguments.side} x {arguments.side}\n")
    fast = "bfloat16" if computes_fast_in_bfloat16() else "float32 too: this processor has no fast bfloat16"
    print(f"| arm | ms per megapixel, {fast} | ms per megapixel, float32 |\n|---|---:|---:|")
    for arm in arms:
        both = (1e9 * times[f"{arm.name}/{exact}"].best / arguments.side**2 for exact in (False, True))
        print(f"| {arm.title} | {' | '.join(f'{ms:.0f}' for ms in both)} |")


def prepare(arm: Arm, exact: bool, recipes: Path, side: int) -> Work:
    """A photo through the restorer of an arm."""
    torch.manual_seed(0)
    recipe = Recipe.read(recipes / f"{arm.recipe}.toml", arm.settings)
    restorer: Restorer = build("restorers", recipe.restorer or {})
    return partial(restore, use_backend(restorer.eval(), exact=exact), torch.rand(1, 3, side, side))


if __name__ == "__main__":
    main()
