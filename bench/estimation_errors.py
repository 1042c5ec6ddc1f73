"""How far the estimator of degradations is off, on photos it was not fitted on: the tables of docs/trust.md.

python bench/estimation_errors.py --data DIR
"""

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from estimation import damage
from torch import Tensor

from dino_ir.contracts import Degradation
from dino_ir.datasets.clean_folder import CleanFolder
from dino_ir.datasets.paired_folder import PairedFolder
from dino_ir.degradations.gaussian_blur import GaussianBlur
from dino_ir.degradations.gaussian_noise import GaussianNoise
from dino_ir.degradations.haze import Haze
from dino_ir.degradations.jpeg import JPEG
from dino_ir.degradations.rain import Rain
from dino_ir.degradations.sensor_noise import SensorNoise
from dino_ir.errors import ImageError
from dino_ir.estimation import KINDS, estimate
from dino_ir.files.images import list_images, read_rgb
from dino_ir.ops.color import to_float
from dino_ir.ops.random import seeded

CLEAN = ("bsd_val32", "mcmaster18")
PAIRS = {"polyu": "noise", "rain100h": "rain", "sots_indoor": "haze"}
MEASURED: dict[str, tuple[Degradation, ...]] = {
    "undamaged": (),
    "noise 3 to 10": (GaussianNoise((3, 10)),),
    "noise 10 to 25": (GaussianNoise((10, 25)),),
    "noise 25 to 55": (GaussianNoise((25, 55)),),
    "grainy camera noise": (SensorNoise(shot=(4, 12), read=(3, 6)),),
    "blur 1 to 2": (GaussianBlur((1.0, 2.0)),),
    "blur 2 to 3.5": (GaussianBlur((2.0, 3.5)),),
    "light rain": (Rain("light"),),
    "medium rain": (Rain("medium"),),
    "heavy rain": (Rain("heavy"),),
    "haze, beta 0.3 to 1": (Haze(beta=(0.3, 1.0)),),
    "haze, beta 1 to 2.2": (Haze(beta=(1.0, 2.2)),),
    "blur, then noise": (GaussianBlur((1.0, 3.0)), GaussianNoise((5, 30))),
    "rain, then noise": (Rain(), GaussianNoise((5, 30))),
    "haze, then noise": (Haze(), GaussianNoise((5, 30))),
    "JPEG of quality 50 to 90": (JPEG((50, 90)),),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    data = parser.parse_args().data
    print(measure_synthetic(data / "test"), measure_real(data), sep="\n\n")


def measure_synthetic(test: Path, draws: int = 2) -> str:
    """What is said of photos that were damaged in known ways."""
    lines = [
        "| damage | kind | photos | found | median strength | median error | 90 % error | others named |"
    ]
    lines.append("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    photos = [CleanFolder(test / name) for name in CLEAN]
    for name, mix in MEASURED.items():
        said: list[dict[str, float]] = []
        true: list[Tensor] = []
        for source, dataset in enumerate(photos):
            for index in range(len(dataset)):
                for number in range(draws):
                    clean = to_float(dataset[index].clean)[None]
                    degraded, strengths = damage(clean, mix, seeded(source, index, number))
                    said.append(estimate(degraded[0]) or {})
                    true.append(strengths)
        lines += rows_of(name, said, torch.stack(true))
    return "\n".join(lines)


def rows_of(name: str, said: Sequence[Mapping[str, float]], true: Tensor) -> list[str]:
    """A line for each kind that is there; one line in all if none is."""
    there = [kind for kind, strengths in zip(KINDS, true.T) if strengths.any()]
    others = sum(any(kind not in there for kind in each) for each in said) / len(said)
    lines: list[str] = []
    for kind in there:
        strengths = true[:, KINDS.index(kind)]
        errors = [abs(each[kind] - float(known)) for each, known in zip(said, strengths) if kind in each]
        middle, most = (f"{share_of(errors, share):.2g}" for share in (0.5, 0.9))
        found = f"{len(errors) / len(said):.0%} | {strengths.median():.2g} | {middle} | {most}"
        lines.append(f"| {name} | {kind} | {len(said)} | {found} | {others:.0%} |")
    return lines or [f"| {name} | – | {len(said)} | – | – | – | – | {others:.0%} |"]


def measure_real(data: Path) -> str:
    """What is said of photos as they are; and how far it is from what their clean partners tell."""
    folders = [data / "test" / name for name in CLEAN]
    folders += [data / "test" / name / side for name in PAIRS for side in ("target", "input")]
    folders += sorted(path for path in (data / "test_real").iterdir())
    lines = [f"| photos | number | found clean | {' | '.join(f'{kind}, median' for kind in KINDS)} |"]
    lines.append(f"| --- | ---: | ---: |{' ---: |' * len(KINDS)}")
    for folder in folders:
        said = [estimate(photo) or {} for photo in read_photos(folder)]
        cells = [f"{sum(not each for each in said)}"]
        for kind in KINDS:
            strengths = [each[kind] for each in said if kind in each]
            cells.append(f"{len(strengths)} of {share_of(strengths, 0.5):.2g}" if strengths else "–")
        lines.append(f"| {folder.relative_to(data)} | {len(said)} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *measure_pairs(data / "test")])


def measure_pairs(test: Path) -> Iterator[str]:
    """How far estimates are from what the clean photo tells, where there is one."""
    yield "| pairs | kind | number | found | median strength | median error | 90 % error | others named |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for name, kind in PAIRS.items():
        dataset = PairedFolder(test / name)
        said: list[dict[str, float]] = []
        true = torch.zeros(len(dataset), len(KINDS))
        for index in range(len(dataset)):
            pair = dataset[index]
            assert pair.degraded is not None
            degraded, clean = to_float(pair.degraded), to_float(pair.clean)
            said.append(estimate(degraded) or {})
            true[index, KINDS.index(kind)] = strength_between(kind, degraded, clean)
        yield from rows_of(name, said, true)


def strength_between(kind: str, degraded: Tensor, clean: Tensor) -> float:
    """What a pair tells of its damage; of haze, with airlight of 1, as RESIDE's indoor set has it."""
    difference = degraded - clean
    if kind == "noise":
        return 255 * float(difference.square().mean().sqrt())
    return float(difference.mean() / (1 if kind == "rain" else (1 - clean).mean()))


def read_photos(folder: Path) -> Iterator[Tensor]:
    """The photos of a folder that can be read."""
    for path in list_images(folder):
        try:
            yield to_float(read_rgb(path))
        except ImageError:  # a BMP
            continue


def share_of(values: Sequence[float], share: float) -> float:
    """The quantile of some numbers; NaN of none."""
    return float(torch.tensor(values).quantile(share)) if values else math.nan


if __name__ == "__main__":
    main()
