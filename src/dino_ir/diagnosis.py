"""What `dino-ir doctor` looks at: versions, devices, and the weight files of the package."""

import importlib.metadata
import platform
from pathlib import Path
from typing import NamedTuple

import torch

from dino_ir.errors import WeightsError
from dino_ir.files.weights import digest, find_weights, shipped

__all__ = ["Diagnosis", "diagnose"]

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
        expected = _sums(find_weights("default").with_name("SHA256SUMS"))
    except WeightsError as problem:
        return Diagnosis({**findings, "weights": str(problem)}, is_well=False)
    damaged = [name for name in shipped() if digest(find_weights(name)) != expected.get(name)]
    findings |= {
        f"weights {name}": "damaged: install again" if name in damaged else "whole" for name in shipped()
    }
    return Diagnosis(findings, is_well=not damaged)


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
