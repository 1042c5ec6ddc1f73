"""One weight file out of several runs'."""

from collections.abc import Sequence
from pathlib import Path

import torch

from dino_ir.errors import WeightsError
from dino_ir.files.weights import digest, find_weights, learned, read_weights, write_weights
from dino_ir.inference import load

__all__ = ["average_weights"]


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
    if len(files) < 2:
        raise WeightsError("a mean is of two weight files or more")
    paths = [find_weights(file) for file in files]
    restorers = [load(path, "cpu") for path in paths]
    tables = [read_weights(path)[1] for path in paths]
    for path, table in zip(paths, tables):
        if table["restorer"] != tables[-1]["restorer"]:
            raise WeightsError(f"{path} is of another restorer than {paths[-1]}: a mean would be of neither")
    weights = [learned(restorer) for restorer in restorers]
    mean = restorers[-1]
    mean.load_state_dict(
        {name: torch.stack([each[name] for each in weights]).mean(0) for name in weights[0]}, strict=False
    )
    write_weights(out, mean, {**tables[-1], "mean_of": [digest(path) for path in paths]})
