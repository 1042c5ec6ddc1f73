"""Genuine rain beside ours: how bright it is, how it is spread, how its streaks lean, and how wide they are.

python bench/rain.py --data DIR
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from dino_ir.datasets.paired_folder import PairedFolder
from dino_ir.degradations.rain import Rain
from dino_ir.ops.color import to_float
from dino_ir.ops.random import seeded

STRENGTHS = ("light", "medium", "heavy", "dense")
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    pairs = PairedFolder(parser.parse_args().data / "test/rain100h")
    columns = [
        "mean",
        "spread",
        *(f"{quantile:.0%} below" for quantile in QUANTILES),
        "lean",
        "alike",
        "width",
    ]
    print("| rain |", " | ".join([*columns, "PSNR"]), "|")
    print("| --- |", " | ".join(["---:"] * (len(columns) + 1)), "|")
    found: dict[str, list[Tensor]] = {name: [] for name in ("Rain100H", *STRENGTHS)}
    for index in range(len(pairs)):
        pair = pairs[index]
        assert pair.degraded is not None
        clean = to_float(pair.clean)
        found["Rain100H"].append(describe(to_float(pair.degraded) - clean))
        for strength in STRENGTHS:
            rain = Rain(strength)
            rainy = rain.apply(clean[None], [rain.draw(seeded(0, index))])[0]
            found[strength].append(describe(rainy - clean))
    for name, each in found.items():
        print(f"| {name} |", " | ".join(f"{value:.3f}" for value in torch.stack(each).mean(0).tolist()), "|")


def describe(rain: Tensor) -> Tensor:
    """Numbers of what was added to a photo, [3, H, W]: those of the table's columns, in their order."""
    grey = rain.mean(0)
    psnr = -10 * rain.square().mean().log10()
    quantiles = grey.flatten().quantile(torch.tensor(QUANTILES))
    return torch.stack([grey.mean(), grey.std(), *quantiles, *shape(grey), psnr])


def shape(streaks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What the mean structure tensor says of streaks, [H, W].

    Returns:
        How far they lean from the vertical, in degrees to either side; how alike their directions are, from 0
        to 1; and the standard deviation across a streak, in pixels, if it had a Gaussian's profile: such a
        profile of width w has 2 w^2 times the square of its slope as its own square, in the mean.
    """
    across, down = streaks.diff(dim=1)[:-1], streaks.diff(dim=0)[:, :-1]
    xx, yy, xy = across.square().mean(), down.square().mean(), (across * down).mean()
    difference = torch.hypot(xx - yy, 2 * xy)
    lean = torch.atan2(2 * xy, xx - yy).abs().rad2deg() / 2
    steepest = (xx + yy + difference) / 2
    return lean, difference / (xx + yy), streaks.std() / (2 * steepest).sqrt()


if __name__ == "__main__":
    main()
