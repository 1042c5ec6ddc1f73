"""One weight file out of several runs'."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dino_ir.catalog import build
from dino_ir.contracts import Restorer
from dino_ir.errors import WeightsError
from dino_ir.files.weights import (
    digest,
    fill_priors,
    find_weights,
    learned,
    read_weights,
    write_weights,
)
from dino_ir.inference import load

__all__ = ["average_weights", "join_experts"]

_NETWORK = "network."


def average_weights(files: Sequence[str | Path], out: Path) -> None:
    """Write the mean of the weights of restorers, in half precision.

    Of runs that began at the same weights, it often restores better than each of them alone: Wortsman et al.,
    Model soups, ICML 2022. The mean's table is that of the last file, with the digests of all as `mean_of`.

    Args:
        files: names or paths, two at least.
        out: the weight file; folders are made, an older file is replaced.

    Raises:
        WeightsError: fewer than two files, or they are of different restorers.
        RecipeError: a file describes a part that does not exist.
    """
    paths, tables, weights = _read_alike(files, "a mean takes")
    mean = load(paths[-1], "cpu")
    mean.load_state_dict(
        {name: torch.stack([each[name] for each in weights]).mean(0) for name in weights[0]}, strict=False
    )
    write_weights(out, mean, {**tables[-1], "mean_of": [digest(path) for path in paths]})


def join_experts(files: Sequence[str | Path], out: Path) -> None:
    """Make one restorer of several whose networks learned apart, each to be an expert (`networks.experts`).

    The gate has learned nothing: until it is trained, every expert has the same share of every photo. The
    table has the digests of all as `experts_of`.

    Args:
        files: names or paths, two at least, of restorers that differ in their networks' weights alone.
        out: the weight file; folders are made, an older file is replaced.

    Raises:
        WeightsError: fewer than two files, or they are of different restorers, or differ elsewhere.
        RecipeError: a file describes a part that does not exist, or a network that cannot be an expert.
    """
    paths, tables, weights = _read_alike(files, "experts take")
    shared = {name: value for name, value in weights[-1].items() if not name.startswith(_NETWORK)}
    for path, each in zip(paths, weights):
        if differing := [name for name, value in shared.items() if not torch.equal(value, each[name])]:
            raise WeightsError(
                f"{path} and {paths[-1]} differ in more than their networks, such as in {differing[0]}: "
                'train experts with learns = ["network"]'
            )
    restorer = dict(tables[-1]["restorer"])
    restorer["network"] = {"name": "experts", "expert": restorer["network"], "count": len(files)}
    joined: Restorer = fill_priors(build("restorers", restorer), tables[-1].get("priors"))
    experts = {
        name.replace(_NETWORK, f"{_NETWORK}experts.{index}.", 1): value
        for index, each in enumerate(weights)
        for name, value in each.items()
        if name.startswith(_NETWORK)
    }
    joined.load_state_dict({**shared, **experts}, strict=False)
    experts_of = [digest(path) for path in paths]
    write_weights(out, joined, {"restorer": restorer, "experts_of": experts_of})


def _read_alike(
    files: Sequence[str | Path], takes: str
) -> tuple[list[Path], list[dict[str, Any]], list[dict[str, Tensor]]]:
    """The paths, tables and weights of restorers of one kind."""
    if len(files) < 2:
        raise WeightsError(f"{takes} two weight files or more")
    paths = [find_weights(file) for file in files]
    weights = [learned(load(path, "cpu")) for path in paths]
    tables = [read_weights(path)[1] for path in paths]
    for path, table in zip(paths, tables):
        if table["restorer"] != tables[-1]["restorer"]:
            raise WeightsError(f"{path} is of another restorer than {paths[-1]}: {takes} one kind")
    return paths, tables, weights
