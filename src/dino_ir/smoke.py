"""An experiment made so small that it runs in seconds: the same parts and the same way, and no meaning."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from dino_ir.benchmark import Benchmark
from dino_ir.catalog import build, find
from dino_ir.files.images import Photo, write_photo
from dino_ir.recipe import Phase, Recipe

__all__ = ["make_photos", "shrink_recipe", "toy_benchmark"]

_SHELVES = {"network": "networks", "prior": "priors"}
_NOISE = {"name": "gaussian_noise", "sigma": 25}


def make_photos(folder: Path, count: int = 2) -> Path:
    """Write smooth pictures of 96 x 80 pixels with an edge into a folder, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        coarse = torch.rand(1, 3, 5, 6, generator=torch.Generator().manual_seed(number))
        picture = F.interpolate(coarse, (80, 96), mode="bilinear")[0]
        picture[:, 20 + 10 * number : 50] = picture[:, 20 + 10 * number : 50] / 2
        write_photo(folder / f"{number}.png", Photo(picture))
    return folder


def shrink_recipe(recipe: Recipe, photos: Path) -> Recipe:
    """The same system of the smallest network and prior, two steps a phase, all data out of one folder."""
    table = _shrink(recipe.restorer or {})
    phases = [
        Phase(steps=2, batch=2, crops=phase.crops, crop=32, lr=phase.lr, region=64) for phase in recipe.phase
    ]
    dataset = {"name": "clean_folder", "root": str(photos.resolve())}  # not below the data folder
    data = [{"degradation": _NOISE, **each, "dataset": dataset} for each in recipe.data]
    return replace(recipe, restorer=table, phase=phases, data=data, validation=[])


def toy_benchmark(title: str, photos: Path) -> Benchmark:
    """A benchmark of those pictures, with noise."""
    dataset = build("datasets", {"name": "clean_folder", "root": str(photos)})
    return Benchmark(title, "denoise", dataset, build("degradations", _NOISE))


def _shrink(table: Mapping[str, Any]) -> dict[str, Any]:
    small = dict(table)
    for key, shelf in _SHELVES.items():
        if key in table:
            small[key] = _tiny(shelf, table[key])
    if table["name"] == "dino_ir":
        small["side"] = 56  # divides by the stride of every prior's tiny
    if table.get("contrast"):
        small["contrast"] = {"start": 0, "every": 1, "blocks": [0, 2], "weights": [0.5, 1.0]}
    return small


def _tiny(shelf: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """The part's tiny, with random weights, and as many of its layers as were asked for."""
    tiny = dict(find(shelf, table["name"]).tiny)
    if "layers" in tiny and "layers" in table:
        tiny["layers"] = tiny["layers"][-len(table["layers"]) :]
    if table["name"] == "dino_tiny":
        tiny["trained"] = False
    return {"name": table["name"], **tiny}
