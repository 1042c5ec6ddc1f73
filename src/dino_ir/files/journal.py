"""The log of a training run: one JSON line a step, and TensorBoard's file where it is wanted."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dino_ir.errors import TrainingError

__all__ = ["Journal"]


class Journal:
    """Writes the numbers of each step to `log.jsonl` in a run's folder.

    Args:
        folder: the run's.
        step: where the run goes on; later lines of an earlier try are dropped.
        tensorboard: also write events for TensorBoard; the last of them reach the file with `close`.

    Raises:
        TrainingError: TensorBoard is wanted and not installed.
    """

    def __init__(self, folder: Path, step: int, tensorboard: bool = False) -> None:
        self.path = folder / "log.jsonl"
        lines = self.path.read_text().splitlines(keepends=True) if self.path.exists() else []
        self.path.write_text("".join(line for line in lines if _step_of(line) <= step))
        self.board = _open_board(folder, step) if tensorboard else None

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append one step."""
        rounded = {name: float(f"{value:.6g}") for name, value in values.items()}
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, **rounded}) + "\n")
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(name, value, step)

    def close(self) -> None:
        """Write out what TensorBoard's writer still holds back."""
        if self.board is not None:
            self.board.close()


def _step_of(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except ValueError:  # cut off when the process died
        return float("inf")


def _open_board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError:
        raise TrainingError("TensorBoard is not installed: pip install 'dino-ir[track]'") from None
    return SummaryWriter(folder, purge_step=step + 1)
