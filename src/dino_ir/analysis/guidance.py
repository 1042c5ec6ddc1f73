"""What a trained network makes of its guide: scores with guides of other photos, and how much it changes."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

import torch
from torch import Tensor

from dino_ir.benchmark import Benchmark
from dino_ir.contracts import View
from dino_ir.metrics.psnr import PSNR
from dino_ir.ops.color import round_to_8_bits
from dino_ir.ops.pad import crop_to, pad_to_multiple
from dino_ir.restorers.dino_ir import DinoIR

__all__ = ["GUIDES", "Steered", "examine", "guidance_as_markdown"]

GUIDES = ("own", "clean", "other", "none")
"""Maps of the degraded photo itself, of its clean version, of the next photo of the benchmark; no guide."""


class Steered(NamedTuple):
    """One photo."""

    image: str
    scores: dict[str, float]  # PSNR in dB by guide
    changes: list[float]  # at each place, what its own guide adds: root mean square, relative to the features


def examine(restorer: DinoIR, benchmark: Benchmark, limit: int | None = None) -> Iterator[Steered]:
    """Restore photos of a benchmark whole, each with every guide.

    Guides that are not a photo's own tell what the network relies on, not whether guidance helped it to
    learn: for that, train without.

    Args:
        restorer: in eval mode, with a prior that sees whole photos (`view = "whole"`).
        benchmark: with photos of which one fits into memory whole.
        limit: the first so many photos; None takes all.
    """
    count = len(benchmark.dataset) if limit is None else min(limit, len(benchmark.dataset))
    for index in range(count):
        name, degraded, clean = benchmark.images(index)
        _, other, _ = benchmark.images((index + 1) % len(benchmark.dataset))
        with torch.inference_mode():
            seen = {"own": degraded, "clean": clean, "other": other}
            maps = {guide: restorer.look(photo[None]) for guide, photo in seen.items()}
            scores = {guide: _score(_restore(restorer, degraded, maps.get(guide)), clean) for guide in GUIDES}
            yield Steered(name, scores, _changes(restorer, degraded, maps["own"]))


def guidance_as_markdown(results: Mapping[str, Sequence[Steered]]) -> str:
    """A row for each benchmark: the mean score by guide, and the mean change at each place."""
    places = range(len(next(iter(results.values()))[0].changes))
    header = [
        "benchmark",
        *(f"{guide} guide" for guide in GUIDES),
        *(f"change at {place}" for place in places),
    ]
    lines = [header, ["---"] * len(header)]
    for title, rows in results.items():
        scores = [f"{fmean(row.scores[guide] for row in rows):.2f}" for guide in GUIDES]
        changes = [f"{fmean(row.changes[place] for row in rows):.2f}" for place in places]
        lines.append([title, *scores, *changes])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _restore(restorer: DinoIR, degraded: Tensor, described: Tensor | None) -> Tensor:
    """Restore [3, H, W] by a map, or without one."""
    padded, box = _padded(restorer, degraded)
    restored = restorer.network(padded) if described is None else restorer(padded, View(described, box))
    return crop_to(restored, (degraded.shape[-2], degraded.shape[-1]))[0]


def _changes(restorer: DinoIR, degraded: Tensor, described: Tensor | None) -> list[float]:
    assert described is not None
    padded, box = _padded(restorer, degraded)
    changes: list[float] = []

    def guide(place: int, features: Tensor) -> Tensor:
        steered = restorer.level_fusion(place, features, View(described, box))
        changes.append(((steered - features).square().mean() / features.square().mean()).sqrt().item())
        return steered

    restorer.network(padded, guide=guide)
    return changes


def _padded(restorer: DinoIR, degraded: Tensor) -> tuple[Tensor, Tensor]:
    """The photo with sides that fit the network, and its box: what was added lies outside of the map."""
    padded = pad_to_multiple(degraded[None], restorer.multiple_of)
    bottom, right = (large / small for large, small in zip(padded.shape[-2:], degraded.shape[-2:]))
    return padded, torch.tensor([[0.0, 0.0, bottom, right]])


def _score(restored: Tensor, clean: Tensor) -> float:
    return PSNR()(round_to_8_bits(restored)[None], clean[None]).item()
