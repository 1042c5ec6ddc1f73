"""How robust a trained prior is, beside simpler ones: the tables of docs/prior.md.

python bench/prior.py WEIGHTS --data DIR [--benchmark test/bsd_val32] [--control FILE] [--teacher FILE]
    [--dinov2 base]
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from dino_ir.analysis.robustness import (
    describe,
    deviations_as_markdown,
    measure_deviations,
    measure_recognition,
    pool,
    recognition_as_markdown,
    thumbnail,
)
from dino_ir.catalog import build
from dino_ir.contracts import Prior
from dino_ir.datasets.clean_folder import CleanFolder
from dino_ir.files.weights import fill_priors, find_weights, read_weights
from dino_ir.ops.color import to_float

Priors = dict[str, tuple[Prior, tuple[int, ...]]]
"""Priors by name, each with the blocks whose maps are measured."""


def main() -> None:
    """Measure and print."""
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    dataset = CleanFolder(arguments.data / arguments.benchmark)
    photos = [to_float(dataset[index].clean) for index in range(len(dataset))]
    priors = read_priors(arguments)
    side = arguments.side
    print(f"{len(photos)} photos of {arguments.benchmark}, seen at about {side} x {side} pixels")
    print(f"\n{deviations_as_markdown(measure_deviations(partial(describe_all, priors, side), photos))}")
    vectors: dict[str, Callable[[Tensor], Tensor]] = {"thumbnail of 8 x 8": thumbnail}
    for name, (prior, blocks) in priors.items():
        vectors[f"{name}, block {blocks[-1]}"] = partial(pool, prior=prior, block=blocks[-1], side=side)
    print(f"\n{recognition_as_markdown(measure_recognition(vectors, photos))}")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", help="of the trained prior: a file, or a name that comes with the package")
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--benchmark", default="test/bsd_val32", help="a folder of clean photos in it")
    parser.add_argument("--control", help="weights of the same prior, trained without damaged views")
    parser.add_argument("--teacher", help="weights of MobileNetV2, to measure it too")
    parser.add_argument(
        "--dinov2", metavar="SIZE", help="measure Meta's too, if it is here: small, base, large, giant"
    )
    parser.add_argument("--side", type=int, default=224, help="of what the prior sees, in pixels")
    parser.add_argument("--seed", type=int, default=0, help="of the random weights")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


def describe_all(priors: Priors, side: int, image: Tensor) -> dict[str, Tensor]:
    """The image, and the maps of every prior under its name."""
    maps: dict[str, Tensor] = {}
    for name, (prior, blocks) in priors.items():
        for key, map_ in describe(image, prior, blocks, side).items():
            maps[key if key == "image" else f"{name}, {key}"] = map_
    return maps


def read_priors(arguments: argparse.Namespace) -> Priors:
    """What to compare: the patches' mean colours, random weights, trained ones, and others that are given."""
    tensors, table = read_weights(find_weights(arguments.weights))
    options = table["learner"]["prior"]
    random, trained, control = (build("priors", options) for _ in range(3))
    trained.load_state_dict(tensors)
    priors = {
        "mean colour": build("priors", {"name": "patch_color", "stride": trained.stride, "layers": (0,)}),
        "random": random,
        "trained": trained,
    }
    if arguments.control:
        control.load_state_dict(read_weights(find_weights(arguments.control))[0])
        priors["without damaged views"] = control
    if arguments.teacher:
        priors["MobileNetV2"] = build("priors", {"name": "mobilenet_v2", "weights": arguments.teacher})
    if arguments.dinov2:
        priors["DINOv2"] = fill_priors(build("priors", {"name": "dinov2", "size": arguments.dinov2}))
    return {name: (prior.eval(), tuple(prior.layers)) for name, prior in priors.items()}


if __name__ == "__main__":
    main()
