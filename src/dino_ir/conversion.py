"""Checkpoints that the authors of a network published become weight files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from dino_ir.catalog import build, find, names
from dino_ir.contracts import Restorer
from dino_ir.errors import WeightsError
from dino_ir.files.weights import write_weights

__all__ = ["convert"]


def convert(weights: Mapping[str, Tensor], out: Path, note: str) -> dict[str, Any]:
    """Write a published checkpoint as the weight file of a network on its own, in half precision.

    Names and shapes tell which network it is, and with which options.

    Args:
        weights: the tensors, by the authors' names.
        out: the weight file; folders are made, an older file is replaced.
        note: where the checkpoint comes from, kept in the table.

    Returns:
        The table that rebuilds the restorer.

    Raises:
        WeightsError: no network recognises the weights, or they do not fit the one that does.
        RecipeError: the network that recognises them does not come in their shape.
    """
    network = _recognise(weights)
    table: dict[str, Any] = {"restorer": {"name": "plain", "network": network}, "converted": note}
    restorer: Restorer = build("restorers", table["restorer"])
    renamed = find("networks", network["name"]).rename_official(weights)
    ours = {f"network.{name}": value for name, value in renamed.items()}
    misfits = _misfits(restorer.state_dict(), ours)
    if misfits:
        raise WeightsError(f"these weights look like {network['name']}'s, but do not fit it: {misfits}")
    restorer.load_state_dict(ours)
    write_weights(out, restorer, table)
    return table


def _recognise(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """The table of the network that the weights were published for."""
    parts = {name: find("networks", name) for name in names("networks")}
    published = {name: part for name, part in parts.items() if hasattr(part, "options_of_official")}
    for name, part in published.items():
        options = part.options_of_official(weights)
        if options is not None:
            return {"name": name, **options}
    first = ", ".join(list(weights)[:3]) or "no names at all"
    raise WeightsError(
        f"no network recognises these weights ({first}); give published ones of: {', '.join(published)}"
    )


def _misfits(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """What is missing, unexpected or of another shape, the first names of each; empty if all fits."""
    shapes = {
        name: f"{name} {list(given[name].shape)} instead of {list(value.shape)}"
        for name, value in expected.items()
        if name in given and given[name].shape != value.shape
    }
    kinds = {
        "missing": [name for name in expected if name not in given],
        "unexpected": [name for name in given if name not in expected],
        "of another shape": list(shapes.values()),
    }
    found = {kind: wrong for kind, wrong in kinds.items() if wrong}
    return "; ".join(f"{len(wrong)} {kind}, such as {', '.join(wrong[:2])}" for kind, wrong in found.items())
