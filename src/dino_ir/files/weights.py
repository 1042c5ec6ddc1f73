"""Weight files: safetensors that hold what was learned, and the table that rebuilds its restorer.

Priors may also be filled from files that others published, which hold tensors alone.
"""

import hashlib
import json
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from dino_ir.contracts import Prior
from dino_ir.errors import WeightsError
from dino_ir.published import need_published, published

__all__ = [
    "DEFAULT",
    "digest",
    "fill_priors",
    "find_weights",
    "learned",
    "read_published",
    "read_weights",
    "shipped",
    "write_weights",
]

DEFAULT = "dino_ir_tiny"
"""What `weights="default"` means."""

Module = TypeVar("Module", bound=nn.Module)

_FOLDER = Path(__file__).parents[1] / "weights"
_WRAPPERS = ("params", "params_ema", "state_dict", "model")  # keys that others keep their tensors under
_PREFIXES = ("module.", "net.")  # of every name, where the saved network was inside another


def shipped() -> list[str]:
    """Names of the weight files that come with the package."""
    return sorted(path.stem for path in _FOLDER.glob("*.safetensors"))


def find_weights(name: str | Path) -> Path:
    """The file that a shipped or published name, "default" or a path stands for.

    Raises:
        WeightsError: neither such a name nor a file, or published weights that are not on this machine.
    """
    stem = DEFAULT if name == "default" else str(name)
    if stem in shipped():
        return _FOLDER / f"{stem}.safetensors"
    if stem in published():
        return need_published(stem)
    if Path(name).is_file():
        return Path(name)
    known = ", ".join(["default", *shipped()])
    raise WeightsError(f"no weights {str(name)!r}: give a file, or one of: {known}")


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def learned(module: nn.Module) -> dict[str, Tensor]:
    """What only a module's own file can hold: its state without that of priors that have files of their own.

    A prior of random weights, a control, has none: other weights would be other ones. A prior alone gives
    its own state.
    """
    state = module.state_dict()
    if isinstance(module, Prior):
        return state
    parts = module.named_modules()
    frozen = tuple(f"{name}." for name, part in parts if isinstance(part, Prior) and part.pretrained)
    return {key: value for key, value in state.items() if not key.startswith(frozen)}


def write_weights(path: Path, module: nn.Module, table: Mapping[str, Any]) -> None:
    """Save what a module has learned, in half precision, with what is needed to rebuild it.

    The file appears whole or not at all. `table` is kept as JSON, with the digests of the priors
    beside it, so that a restorer is never run with another prior than it learned from.

    Args:
        path: where; folders are made.
        module: a restorer, or a prior.
        table: such as `{"restorer": {...}, "recipe": {...}}`.
    """
    tensors = {key: _halve(value) for key, value in learned(module).items()}
    priors = [] if isinstance(module, Prior) else _priors(module)
    noted = {name: _trained(prior, find_weights(name))[1] for name, prior in priors}
    metadata = {"dino_ir": json.dumps({**table, "priors": noted})}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    save_file(tensors, partial, metadata=metadata)
    os.replace(partial, path)


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, in full precision, and the table of a weight file.

    Raises:
        WeightsError: not a weight file of ours, or damaged.
    """
    weights, metadata = _read(path)
    if "dino_ir" not in metadata:
        raise WeightsError(f"{path} does not say how to rebuild its restorer: it was not written by dino-ir")
    return weights, json.loads(metadata["dino_ir"])


def read_published(path: Path) -> dict[str, Tensor]:
    """The tensors, in full precision, of a file that others published, by the names they gave them.

    A safetensors file, or one of `torch.save` (`.pth`, `.pt`), out of which only data is read: code in
    it is refused, not run. Tensors may lie under `params` (preferred to `params_ema` beside it),
    `state_dict` or `model`; the prefixes `module.` and `net.` are dropped where all names have them.

    Raises:
        WeightsError: missing, damaged, or something else.
    """
    content = _read(path)[0] if path.suffix == ".safetensors" else _read_saved(path)
    for prefix in _PREFIXES:
        if all(key.startswith(prefix) for key in content):
            content = {key.removeprefix(prefix): value for key, value in content.items()}
    return content


def fill_priors(module: Module, expected: Mapping[str, str] | None = None) -> Module:
    """Put the trained weights into every prior inside a module, and return the module.

    Args:
        module: anything; a prior whose `pretrained` is None is left as it is.
        expected: digests the priors' weights must have, as `write_weights` noted them.

    Raises:
        WeightsError: a file is missing, is not the expected one, or does not fit.
    """
    for name, prior in _priors(module):
        path = find_weights(name)
        state, found = _trained(prior, path)
        if (expected or {}).get(name, found) != found:
            raise WeightsError(
                f"{path} is not the prior these weights were trained with: their digests differ"
            )
        for key, shape in sorted(_shapes(state) ^ _shapes(prior.state_dict())):
            raise WeightsError(
                f"{path} does not fit the prior: {key} of shape {list(shape)} is in only one of them"
            )
        prior.load_state_dict(state)
    return module


def _priors(module: nn.Module) -> list[tuple[str, Prior]]:
    """The priors inside a module that have trained weights, by those weights' name."""
    parts = (part for part in module.modules() if isinstance(part, Prior))
    return [(part.pretrained, part) for part in parts if part.pretrained is not None]


def _trained(prior: Prior, path: Path) -> tuple[dict[str, Tensor], str]:
    """A prior's trained weights out of a file, by the prior's own names, and the digest they go by.

    The digest is the file's where the file is ours. Where others published it, it is that of the
    renamed tensors, so that the same weights have the same one in any kind of file.
    """
    if path.suffix == ".safetensors":
        with _opened(path) as file:
            is_ours = "dino_ir" in (file.metadata() or {})
        if is_ours:
            return read_weights(path)[0], digest(path)
    state = prior.rename_published(read_published(path))
    total = hashlib.sha256()
    for name in sorted(state):
        total.update(f"{name}{list(state[name].shape)}".encode())
        total.update(state[name].numpy().tobytes())
    return state, total.hexdigest()


@contextmanager
def _opened(path: Path) -> Generator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (OSError, SafetensorError) as problem:
        raise WeightsError(f"{path} cannot be read as a weight file: {problem}") from None


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors, in full precision, and the metadata of a safetensors file."""
    with _opened(path) as file:
        return {key: file.get_tensor(key).float() for key in file.keys()}, file.metadata() or {}  # noqa: SIM118 no dict


def _read_saved(path: Path) -> dict[str, Tensor]:
    """The tensors of a `torch.save` file, in full precision, out of what they are wrapped in."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # a file of another kind can fail in any way, and torch's words would not help
        raise WeightsError(
            f"{path} cannot be read as a weight file: expected safetensors, or tensors alone by torch.save"
        ) from None
    if isinstance(content, dict):
        content = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), dict)), content)
    if not _is_state(content):
        raise WeightsError(f"{path} holds other things than the tensors of one network")
    return {key: value.float() for key, value in content.items()}


def _is_state(content: Any) -> bool:
    return isinstance(content, dict) and all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    )


def _shapes(state: Mapping[str, Tensor]) -> set[tuple[str, tuple[int, ...]]]:
    return {(name, tuple(value.shape)) for name, value in state.items()}


def _halve(value: Tensor) -> Tensor:
    """Half precision where no number gets too large for it; below 3e-8, numbers become 0."""
    value = value.detach().cpu().contiguous()
    half = value.to(torch.float16)
    return half if value.is_floating_point() and bool(half.isfinite().all()) else value
