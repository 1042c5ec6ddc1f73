"""Fit the estimator of degradations on training photos that are damaged in known ways.

python bench/estimation.py --data DIR: writes src/dino_ir/estimation.safetensors. How far off it then is, on
other photos, `bench/estimation_errors.py` measures.
"""

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from dino_ir.contracts import Dataset, Degradation, Parameters
from dino_ir.datasets.clean_folder import CleanFolder
from dino_ir.datasets.depth_folder import DepthFolder
from dino_ir.degradations.gaussian_blur import GaussianBlur
from dino_ir.degradations.gaussian_noise import GaussianNoise
from dino_ir.degradations.haze import Haze
from dino_ir.degradations.jpeg import JPEG
from dino_ir.degradations.rain import Rain
from dino_ir.degradations.sensor_noise import SensorNoise
from dino_ir.estimation import KINDS, MODEL, weigh
from dino_ir.ops.color import to_float
from dino_ir.ops.random import seeded
from dino_ir.ops.ranges import between
from dino_ir.ops.resample import resize
from dino_ir.traces import cut_pieces, find_traces, shrink

FOLDERS = ("bsd", "photo", "sunhays", "urban", "val20")
REGION = 400  # pixels of the longer side of what is damaged to fit on
NOISE, GRAIN, BLUR, RAIN = GaussianNoise((3, 55)), SensorNoise(), GaussianBlur((1.0, 3.5)), Rain()
HAZE = Haze(beta=(0.3, 2.2))

Mixes = Mapping[tuple[Degradation, ...], float]
"""Degradations, one after the other, and how often they are drawn, relative to others."""

MIXES: Mixes = {
    (): 24,
    (NOISE,): 14,
    (GRAIN,): 8,
    (BLUR,): 14,
    (RAIN,): 14,
    (HAZE,): 12,
    (BLUR, NOISE): 4,
    (RAIN, NOISE): 3,
    (HAZE, NOISE): 4,
    (HAZE, RAIN): 3,
}
DEEP_MIXES: Mixes = {
    (): 6,
    (HAZE,): 12,
    (HAZE, NOISE): 3,
    (HAZE, RAIN): 2,
    (NOISE,): 1,
    (RAIN,): 1,
    (BLUR,): 1,
}
"""For photos with depth, which are few."""

FAINTEST = (3.0, 1.0, 0.01, 0.1)
"""Of each kind: what is weaker is neither called found nor clean while fitting."""

FALSE_ALARMS = 0.01  # share of clean photos, for each kind
DRAWS = 3


class Case(NamedTuple):
    """A photo's traces, and what it suffers from."""

    photo: int
    traces: Tensor  # [F]
    strengths: Tensor  # [len(KINDS)], 0 where there is none


def main() -> None:
    """Fit, and write the model into the package."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--draws", type=int, default=DRAWS, help="of damage for each training photo")
    arguments = parser.parse_args()
    cases = list(draw_cases(arguments.data / "train", arguments.draws))
    command = f"python bench/estimation.py --data DIR --draws {arguments.draws}"
    save_file(fit_with_thresholds(cases), MODEL, {"fitted by": command, "cases": str(len(cases))})


def draw_cases(train: Path, draws: int) -> Iterator[Case]:
    """Training photos, damaged."""
    sources: list[tuple[Dataset, Mixes, int]] = [
        (CleanFolder(train / "clean", FOLDERS, in_memory=True), MIXES, draws),
        (DepthFolder(train / "depth/sots"), DEEP_MIXES, 3 * draws),
        (
            DepthFolder(train / "depth/middlebury", depth_suffix="_disparity", scale=40, inverse=True),
            DEEP_MIXES,
            2 * draws,
        ),
    ]
    for source, (dataset, mixes, times) in enumerate(sources):
        for number in range(times):
            for index in range(len(dataset)):
                degraded, strengths = draw_damage(dataset, index, mixes, seeded(source, index, number))
                yield Case(1000 * source + index, look(degraded), strengths)


def look(photo: Tensor) -> Tensor:
    """The traces in [3, H, W]."""
    return find_traces(cut_pieces(photo), shrink(photo))


def draw_damage(dataset: Dataset, index: int, mixes: Mixes, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """A region of a photo, scaled, damaged and 4 in 10 times stored as a JPEG; and the strengths."""
    photo = dataset[index]
    chances = torch.tensor(list(mixes.values()), dtype=torch.float)
    mix = list(mixes)[int(torch.multinomial(chances, 1, generator=rng))]
    size = photo.clean.shape[-2:]
    scale = between((0.6, 1.0), rng) if min(size) > 500 else 1.0
    if BLUR not in mix and between((0, 1), rng) < 0.3:
        scale = between((1.0, 1.6), rng)  # as soft as a camera's own pixels are
    sides = [min(side, int(REGION / scale)) for side in size]
    top, left = (int(between((0, side - cut + 0.999), rng)) for side, cut in zip(size, sides))
    scaled = (round(sides[0] * scale), round(sides[1] * scale))
    clean, depth = (
        None if each is None else resize(each[None, :, top : top + sides[0], left : left + sides[1]], scaled)
        for each in (to_float(photo.clean), photo.depth)
    )
    assert clean is not None
    degraded, strengths = damage(clean, mix, rng, depth)
    if between((0, 1), rng) < 0.4:
        jpeg = JPEG((50, 98))
        degraded = jpeg.apply(degraded, [jpeg.draw(rng)])
    return degraded[0], strengths


def damage(
    clean: Tensor, mix: Sequence[Degradation], rng: torch.Generator, depth: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Damage [1, 3, H, W]; and the strengths, [len(KINDS)]."""
    strengths = torch.zeros(len(KINDS))
    for degradation in mix:
        parameters = degradation.draw(rng)
        if (known := strength_of(degradation, parameters, clean, depth)) is not None:
            strengths[KINDS.index(known[0])] = known[1]
        clean = degradation.apply(clean, [parameters], depth)
    return clean, strengths


def strength_of(
    degradation: Degradation, parameters: Parameters, before: Tensor, depth: Tensor | None
) -> tuple[str, float] | None:
    """Kind and strength of a damage, as `estimation.KINDS` defines them; None if it is none of them."""
    black = torch.zeros_like(before)
    match degradation:
        case GaussianNoise():
            return "noise", parameters["sigma"]
        case SensorNoise():
            return "noise", math.hypot(parameters["shot"] * float(before.mean()) ** 0.5, parameters["read"])
        case GaussianBlur():
            return "blur", parameters["sigma"]
        case Rain():
            return "rain", float(Rain(rounded=False).apply(black, [parameters]).mean())
        case Haze():
            white = parameters | {"air": [1.0, 1.0, 1.0]}
            return "haze", float(Haze(rounded=False).apply(black, [white], depth).mean())
        case _:
            return None


def fit_with_thresholds(cases: Sequence[Case], folds: int = 5) -> dict[str, Tensor]:
    """Fit on all photos; thresholds are set on what fits to the other photos say of clean ones."""
    traces = torch.stack([case.traces for case in cases])
    strengths = torch.stack([case.strengths for case in cases])
    fold = torch.tensor([case.photo for case in cases]) % folds
    is_clean = strengths.sum(dim=1) == 0
    chances = torch.zeros(len(cases), len(KINDS))
    for number in range(folds):
        others = fold != number
        chances[~others] = weigh(traces[~others], fit(traces[others], strengths[others]))[0]
    thresholds = chances[is_clean].quantile(1 - FALSE_ALARMS, dim=0)
    return fit(traces, strengths) | {"thresholds": thresholds}


def fit(
    traces: Tensor, strengths: Tensor, hidden: int = 64, steps: int = 1200, batch: int = 512
) -> dict[str, Tensor]:
    """The two layers that find each kind and tell the logarithm of its strength."""
    rng = seeded(0)
    inputs, kinds = traces.shape[1], len(KINDS)
    is_there = strengths >= torch.tensor(FAINTEST)
    counts = is_there | (strengths == 0)
    logarithms = strengths.clamp(min=1e-3).log()
    model = {
        "mean": traces.mean(dim=0),
        "deviation": traces.std(dim=0) + 1e-3,
        "inner.weight": torch.randn(hidden, inputs, generator=rng) / inputs**0.5,
        "inner.bias": torch.zeros(hidden),
        "outer.weight": torch.randn(2 * kinds, hidden, generator=rng) / hidden**0.5,
        "outer.bias": torch.zeros(2 * kinds),
    }
    learned = [tensor.requires_grad_() for name, tensor in model.items() if "." in name]
    optimizer = torch.optim.AdamW(learned, lr=3e-3, weight_decay=0.3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        rows = torch.randint(len(traces), (batch,), generator=rng)
        blurred = traces[rows] + 0.3 * model["deviation"] * torch.randn(batch, inputs, generator=rng)
        chances, guessed = weigh(blurred, model)
        missed = F.binary_cross_entropy(chances, is_there[rows].float(), reduction="none")
        errors = F.smooth_l1_loss(guessed.log(), logarithms[rows], reduction="none", beta=0.1)
        loss = missed[counts[rows]].mean() + errors[is_there[rows]].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return {name: tensor.detach() for name, tensor in model.items()}


if __name__ == "__main__":
    main()
