"""What `dino-ir doctor` looks at: versions, devices, and weight files; and whether those are whole."""

import importlib.metadata
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from dino_ir.errors import WeightsError
from dino_ir.files.weights import digest, find_weights, shipped
from dino_ir.published import find_published, published, verify

__all__ = ["Diagnosis", "diagnose", "verify_weights"]

PACKAGES = ("dino-ir", "torch", "numpy", "safetensors", "pyvips", "pyvips-binary")


class Diagnosis(NamedTuple):
    """Findings by name, and whether all is as it should be."""

    findings: dict[str, str]
    is_well: bool


def diagnose() -> Diagnosis:
    """Look at the installation; nothing is changed or fetched."""
    findings = {"python": platform.python_version(), "system": platform.platform(terse=True)}
    findings |= {name: _version(name) for name in PACKAGES}
    findings["threads"] = str(torch.get_num_threads())
    findings["devices"] = ", ".join(_devices())
    try:
        find_weights("default")
        weights, is_well = verify_weights(shipped())
        findings |= {f"weights {name}": finding for name, finding in weights.items()}
    except WeightsError as problem:
        findings["weights"], is_well = str(problem), False
    findings |= {f"weights {name}": str(find_published(name)) for name in _published_here()}
    return Diagnosis(findings, is_well)


def verify_weights(names: Sequence[str] | None = None) -> Diagnosis:
    """Compare weight files with the digests stated of them; one without a statement is well too.

    Args:
        names: of shipped and published weights; None takes all on this machine.

    Raises:
        WeightsError: no such weights, they are not on this machine, or `SHA256SUMS` is missing.
    """
    known = [*shipped(), *published()]
    for name in names or []:
        if name not in known:
            raise WeightsError(f"no weights {name!r} to verify; there are: {', '.join(known)}")
    verdicts = {name: _verify(name) for name in names or [*shipped(), *_published_here()]}
    return Diagnosis(
        {name: _words(name, each) for name, each in verdicts.items()}, False not in verdicts.values()
    )


def _verify(name: str) -> bool | None:
    if name not in shipped():
        return verify(name)
    path = find_weights(name)
    return digest(path) == _sums(path.with_name("SHA256SUMS")).get(name)


def _words(name: str, is_whole: bool | None) -> str:
    if is_whole is None:
        return f"nothing is stated of {find_weights(name)}"
    if is_whole:
        return "whole"
    if name in shipped():
        return "damaged: install again"
    return f"damaged: remove {find_weights(name).resolve()} and fetch it again"


def _published_here() -> list[str]:
    return [name for name in published() if find_published(name)]


def _sums(path: Path) -> dict[str, str]:
    """Digests by the weights' name, from the file that `sha256sum` wrote."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        raise WeightsError(f"{path} is missing: install the package again") from None
    return {Path(name).stem: value for value, name in lines}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _devices() -> list[str]:
    found = ["cpu"]
    if torch.cuda.is_available():
        found += [f"cuda ({torch.cuda.get_device_name()})"]
    if torch.backends.mps.is_available():
        found += ["mps"]
    return found
