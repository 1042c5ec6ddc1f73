"""How fast we train, beside the same networks written the usual way; and what the feed takes of a step.

python bench/training.py [--only NAME ...] [--repeats 5]
python bench/training.py --recipe RECIPE --data DIR: the feed's share of that recipe's steps
"""

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from machine import Side, as_markdown, take_turns, where_and_when, write_rows
from speed import DEFAULT, peer_network
from torch import nn
from torch.nn import functional as F

from dino_ir.catalog import build
from dino_ir.ops.allocator import keep_freed_memory
from dino_ir.recipe import Recipe
from dino_ir.run_state import State
from dino_ir.training import Run, batches, build_learner, build_sources

Work = Callable[[], object]

SMALL_RESTORMER = {"dim": 24, "depths": [1, 2, 2, 2], "heads": [1, 2, 4, 8], "refine": 1}
PAPER_RESTORMER = {"dim": 48, "depths": [4, 6, 6, 8], "heads": [1, 2, 4, 8], "refine": 4}
CASES: dict[str, tuple[str, Mapping[str, Any], int, int]] = {
    "default": ("nafnet", DEFAULT, 8, 128),
    "restormer-24": ("restormer", SMALL_RESTORMER, 4, 128),
    "restormer-48": ("restormer", PAPER_RESTORMER, 1, 128),
}
"""Network, its options, crops in a step, and their side."""

COLUMNS = ("case", "side", "crops_per_second", "memory_mb", "ratio", "ratio_median")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--busy", action="store_true", help="other programs run: let all threads sleep")
    parser.add_argument("--recipe", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=Path("results/training_speed.csv"))
    arguments = parser.parse_args()
    if arguments.recipe:
        torch.set_num_threads(arguments.threads)
        print(as_markdown(measure_feed(arguments.recipe, arguments.data, arguments.repeats), FEED_COLUMNS))
        return
    for case in arguments.only:
        rows = measure(case, arguments.repeats, arguments.threads, arguments.busy)
        print(as_markdown(rows, COLUMNS), flush=True)
        write_rows(rows, arguments.out)


def measure(case: str, repeats: int, threads: int, busy: bool) -> list[dict[str, Any]]:
    """A step of ours in both precisions, with and without keeping activations, and of the peer."""
    place = where_and_when(threads, busy)
    name, options, batch, crop = CASES[case]
    shared = {"name": name, "options": options, "batch": batch, "crop": crop}
    sides = {"peer": Side(prepare_peer, shared, as_command=False)}
    for half in (False, True):
        for recompute in (False, True):
            words = ("bfloat16" if half else "float32") + (", recomputed" if recompute else "")
            sides[words] = Side(prepare_ours, {**shared, "half": half, "recompute": recompute})
    times = take_turns(sides, repeats, threads, busy)
    peer = times["peer"]
    return [
        {
            **place,
            "case": case,
            "side": side,
            "crops_per_second": round(batch / each.best, 2),
            "crops_per_second_median": round(batch / each.median, 2),
            "memory_mb": round(each.megabytes),
            "ratio": round(peer.best / each.best, 2),
            "ratio_median": round(peer.median / each.median, 2),
            "repeats": repeats,
        }
        for side, each in times.items()
    ]


def prepare_ours(
    name: str, options: Mapping[str, Any], batch: int, crop: int, half: bool, recompute: bool
) -> Work:
    """A step as training takes it."""
    network = build("networks", {"name": name, **options, "recompute": recompute})
    return step(network.to(memory_format=torch.channels_last).train(), batch, crop, half, fused=True)


def prepare_peer(name: str, options: Mapping[str, Any], batch: int, crop: int) -> Work:
    """A step as plain code takes it, in float32."""
    return step(peer_network(name, options).train(), batch, crop, half=False, fused=False)


def step(network: nn.Module, batch: int, crop: int, half: bool, fused: bool) -> Work:
    """Forward, backward and AdamW, as a function to time."""
    torch.manual_seed(0)
    clean = torch.rand(batch, 3, crop, crop)
    degraded = (clean + 0.1 * torch.randn_like(clean)).clamp(0, 1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=fused)

    def work() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            loss = F.l1_loss(network(degraded), clean)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return work


FEED_COLUMNS = ("phase", "feed ms", "step ms", "feed's share")


def measure_feed(path: Path, data: Path | None, repeats: int) -> list[dict[str, Any]]:
    """What batches take of the steps of each phase, made by the process that trains (`--workers 0`)."""
    keep_freed_memory()
    recipe = Recipe.read(path)
    sources, learner = build_sources(recipe, data), build_learner(recipe)
    learner.to(memory_format=torch.channels_last).train()  # pyright: ignore[reportCallIssue] torch has it
    found: list[dict[str, Any]] = []
    for source in sources:  # photos that are kept are read once in a run, so that is not a step's
        for index in range(len(source.dataset) if getattr(source.dataset, "in_memory", False) else 0):
            source.dataset[index]
    for number, phase in enumerate(recipe.phase):
        one = replace(recipe, phase=[replace(phase, steps=repeats + 1)])
        state, feeding, stepping = State(one, learner), list[float](), list[float]()
        feed = batches(one, sources, 0, learner.thumbnail, Run(Path("."), data=data))
        for _ in range(repeats + 1):
            start = time.perf_counter()
            batch = next(feed)
            fed = time.perf_counter()
            state.advance(batch, "cpu")
            feeding.append(fed - start)
            stepping.append(time.perf_counter() - fed)
        once, again = median(feeding[1:]), median(stepping[1:])
        found.append(
            dict(
                zip(
                    FEED_COLUMNS,
                    (number, f"{1e3 * once:.0f}", f"{1e3 * again:.0f}", f"{once / (once + again):.0%}"),
                )
            )
        )
    return found


if __name__ == "__main__":
    main()
