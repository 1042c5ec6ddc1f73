"""Whether the checks of results let good ones pass and stop broken ones: a table of docs/trust.md.

python bench/trust.py BENCHMARK_OR_FOLDER ... [--data DIR] [--weights NAME] [--limit N]
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from dino_ir.benchmark import benchmark_names, read_benchmark
from dino_ir.errors import ImageError
from dino_ir.files.images import list_images, read_rgb
from dino_ir.inference import load, restore
from dino_ir.ops.color import to_float
from dino_ir.trust import find_problems


def _cast(photo: Tensor, red: float, green: float, blue: float) -> Tensor:
    return (photo * photo.new_tensor([red, green, blue])[:, None, None]).clamp(0, 1)


def _brighten_tile(photo: Tensor) -> Tensor:
    spoilt = photo.clone()
    spoilt[:, 64:192, 64:192] += 15 / 255
    return spoilt.clamp(0, 1)


SABOTAGE: dict[str, Callable[[Tensor], Tensor]] = {
    "as restored": lambda photo: photo,
    "black": torch.zeros_like,
    "even grey": lambda photo: torch.full_like(photo, 0.5),
    "a tenth of the light": lambda photo: photo / 10,
    "inverted": lambda photo: 1 - photo,
    "red and blue swapped": lambda photo: photo.flip(0),
    "upside down": lambda photo: photo.flip(1),
    "without colour": lambda photo: photo.mean(dim=0, keepdim=True).expand(3, -1, -1),
    "gamma 0.8": lambda photo: photo**0.8,
    "red x 1.2": lambda photo: _cast(photo, 1.2, 1, 1),
    "red x 1.1": lambda photo: _cast(photo, 1.1, 1, 1),
    "128 x 128 pixels 15 levels brighter": _brighten_tile,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="+", help="names of benchmarks, or folders of photos")
    parser.add_argument("--data", type=Path, help="the data folder; default: DINO_IR_DATA")
    parser.add_argument("--weights", default="default", help="a file, or a name that comes with the package")
    parser.add_argument("--limit", type=int, help="photos of each")
    arguments = parser.parse_args()
    restorer = load(arguments.weights)
    print(f"| results | number | {' | '.join(SABOTAGE)} |")
    print(f"| --- | ---: |{' ---: |' * len(SABOTAGE)}")
    for source in arguments.sources:
        photos = list(read_photos(source, arguments.data))[: arguments.limit]
        pairs = [(photo, restore(restorer, photo)) for photo in photos]
        alarms = [
            sum(bool(find_problems(photo, spoil(restored))) for photo, restored in pairs)
            for spoil in SABOTAGE.values()
        ]
        print(f"| {source} | {len(pairs)} | {' | '.join(map(str, alarms))} |", flush=True)


def read_photos(source: str, data: Path | None) -> Iterator[Tensor]:
    """The degraded photos of a benchmark, or those of a folder that can be read."""
    if source in benchmark_names():
        benchmark = read_benchmark(source, data)
        yield from (benchmark.images(index)[1] for index in range(len(benchmark.dataset)))
        return
    for path in list_images(source):
        try:
            yield to_float(read_rgb(path))
        except ImageError:
            print(f"{path} cannot be read and was left out")


if __name__ == "__main__":
    main()
