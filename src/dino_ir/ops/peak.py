"""The most memory that was taken since one last asked: of a GPU, or of this process."""

import re
from contextlib import suppress
from pathlib import Path

import torch

__all__ = ["forget_peak", "peak_memory"]

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def forget_peak(device: torch.device) -> None:
    """Let `peak_memory` count from now on."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with suppress(OSError):  # not on Linux, or in a sandbox: the peak is then that of the whole process
            _CLEAR.write_text("5")


def peak_memory(device: torch.device) -> int | None:
    """Bytes at the peak: what tensors took on a GPU, else what the process held; None where nobody says."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text())
        return int(found[1]) * 1024 if found else None
    return None
