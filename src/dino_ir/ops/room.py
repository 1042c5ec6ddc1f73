"""How much memory there is, how much a computation takes, and how one hears that it was too little."""

import os
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["BytesHeld", "free_memory", "is_lack_of_memory"]

_GROUPS = Path("/sys/fs/cgroup")  # where Linux keeps the limits of containers


def free_memory(device: torch.device) -> int | None:
    """Bytes that a device has to give at this moment; None where nobody knows.

    On Linux a container's limit counts too.
    """
    if device.type == "cuda":
        free, _total = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type != "cpu":
        return None
    known = [room for room in (_available(), _left_in_group()) if room is not None]
    return min(known, default=None)


def is_lack_of_memory(problem: Exception) -> bool:
    """Torch says so by an error of its own for CUDA, by a bare RuntimeError for the CPU and for MPS."""
    if isinstance(problem, MemoryError | torch.OutOfMemoryError):
        return True
    return any(words in str(problem) for words in ("DefaultCPUAllocator: ", "MPS backend out of memory"))


class BytesHeld(TorchDispatchMode):
    """Counts the bytes of tensors that operations within it make, for as long as anything holds them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # otherwise torch loads its compiler, which takes a second

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = {
            id(part.untyped_storage()) for part in tree_leaves((args, kwargs)) if isinstance(part, Tensor)
        }
        made = func(*args, **(kwargs or {}))
        for part in tree_leaves(made):
            if isinstance(part, Tensor) and id(part.untyped_storage()) not in given:
                self._note(part.untyped_storage())
        return made

    def _note(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known.add(storage)
        size = storage.nbytes()
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, size)

    def _forget(self, size: int) -> None:
        self.now -= size


def _available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, OSError, ValueError):  # Windows
        return None


def _left_in_group() -> int | None:
    """What the container this runs in may still take; files in the cache give way, so they count as free."""
    try:
        limit, used = (int((_GROUPS / f"memory.{name}").read_text()) for name in ("max", "current"))
        fields = dict(line.split() for line in (_GROUPS / "memory.stat").read_text().splitlines())
        return max(0, limit - used + int(fields["inactive_file"]))
    except (OSError, ValueError, KeyError):
        return None
