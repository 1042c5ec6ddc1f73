"""Weight files: safetensors that hold what was learned, and the table that rebuilds its restorer."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from dino_ir.contracts import Prior
from dino_ir.errors import WeightsError

__all__ = [
    "DEFAULT",
    "digest",
    "fill_priors",
    "find_weights",
    "learned",
    "read_weights",
    "shipped",
    "write_weights",
]

DEFAULT = "dino_ir_tiny"
"""What `weights="default"` means."""

Module = TypeVar("Module", bound=nn.Module)

_FOLDER = Path(__file__).parents[1] / "weights"


def shipped() -> list[str]:
    """Names of the weight files that come with the package."""
    return sorted(path.stem for path in _FOLDER.glob("*.safetensors"))


def find_weights(name: str | Path) -> Path:
    """The file that a shipped name, "default" or a path stands for.

    Raises:
        WeightsError: neither a shipped name nor a file.
    """
    stem = DEFAULT if name == "default" else str(name)
    if stem in shipped():
        return _FOLDER / f"{stem}.safetensors"
    if Path(name).is_file():
        return Path(name)
    known = ", ".join(["default", *shipped()])
    raise WeightsError(f"no weights {str(name)!r}: give a file, or one of: {known}")


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def learned(module: nn.Module) -> dict[str, Tensor]:
    """What a module has learned: its state without its priors'. A prior alone gives its own state."""
    state = module.state_dict()
    if isinstance(module, Prior):
        return state
    frozen = tuple(f"{name}." for name, part in module.named_modules() if isinstance(part, Prior))
    return {key: value for key, value in state.items() if not key.startswith(frozen)}


def write_weights(path: Path, module: nn.Module, table: Mapping[str, Any]) -> None:
    """Save what a module has learned, in half precision, with what is needed to rebuild it.

    The file appears whole or not at all. `table` is kept as JSON, with the digests of the priors'
    own files beside it, so that a restorer is never run with another prior than it learned from.

    Args:
        path: where; folders are made.
        module: a restorer, or a prior.
        table: such as `{"restorer": {...}, "recipe": {...}}`.
    """
    tensors = {key: _halve(value) for key, value in learned(module).items()}
    priors = (
        {}
        if isinstance(module, Prior)
        else {name: digest(find_weights(name)) for name in _pretrained(module)}
    )
    metadata = {"dino_ir": json.dumps({**table, "priors": priors})}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    save_file(tensors, partial, metadata=metadata)
    os.replace(partial, path)


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, in full precision, and the table of a weight file.

    Raises:
        WeightsError: not a weight file of ours, or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118 not a dict
    except (OSError, SafetensorError) as problem:
        raise WeightsError(f"{path} cannot be read as a weight file: {problem}") from None
    if "dino_ir" not in metadata:
        raise WeightsError(f"{path} does not say how to rebuild its restorer: it was not written by dino-ir")
    return weights, json.loads(metadata["dino_ir"])


def fill_priors(module: Module, expected: Mapping[str, str] | None = None) -> Module:
    """Put the trained weights into every prior inside a module, and return the module.

    Args:
        module: anything; a prior whose `pretrained` is None is left as it is.
        expected: digests the priors' files must have, as `write_weights` noted them.

    Raises:
        WeightsError: a file is missing, is not the expected one, or does not fit.
    """
    for part in module.modules():
        if isinstance(part, Prior) and part.pretrained is not None:
            path = find_weights(part.pretrained)
            if (expected or {}).get(part.pretrained, digest(path)) != digest(path):
                raise WeightsError(
                    f"{path} is not the prior these weights were trained with: their digests differ"
                )
            try:
                part.load_state_dict(read_weights(path)[0])
            except RuntimeError as problem:
                raise WeightsError(f"{path} does not fit the prior: {problem}") from None
    return module


def _pretrained(module: nn.Module) -> list[str]:
    parts = (part for part in module.modules() if isinstance(part, Prior))
    return sorted({part.pretrained for part in parts if part.pretrained is not None})


def _halve(value: Tensor) -> Tensor:
    """Half precision where no number gets too large for it; below 3e-8, numbers become 0."""
    value = value.detach().cpu().contiguous()
    half = value.to(torch.float16)
    return half if value.is_floating_point() and bool(half.isfinite().all()) else value
