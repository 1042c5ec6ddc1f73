"""All a training run needs to go on as if it had never stopped."""

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from dino_ir.errors import TrainingError

__all__ = ["read_checkpoint", "write_checkpoint"]


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Save tensors and plain values; the file is replaced whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    torch.save(state, partial)
    os.replace(partial, path)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The state that `write_checkpoint` saved, on the CPU.

    Raises:
        TrainingError: the file is damaged.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError):  # torch's words would not help
        raise TrainingError(f"{path} is damaged: delete it to start the run anew") from None
