"""One run on several processes, as `torchrun` starts them: who is who, and what they agree on.

Without torchrun everything here is of one process, and costs nothing.
"""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import Tensor, distributed

from dino_ir.errors import TrainingError

__all__ = [
    "all_have",
    "any_of_them",
    "gathered",
    "is_first",
    "joined",
    "leave",
    "mean_over_processes",
    "number_of_processes",
    "rows_of_this",
]

_PATIENCE = timedelta(hours=2)  # the first process validates while the others wait


@contextmanager
def joined(device: str) -> Generator[str]:
    """Join the processes that torchrun started, if it did; yield the device that is this one's.

    Args:
        device: "cuda", with any number, becomes the GPU of this process's number on its machine; others stay.

    Raises:
        TrainingError: there are fewer GPUs than processes.
    """
    if not _started_by_torchrun():
        yield device
        return
    if device.startswith("cuda"):
        number, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if number >= there:
            raise TrainingError(
                f"there are more processes than the {there} GPUs here: lower --nproc-per-node"
            )
        device = f"cuda:{number}"
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=_PATIENCE)
    yield device
    # Not after an error: the others may be waiting for this process, and it would wait for them.
    distributed.destroy_process_group()


def leave() -> None:
    """End this process at once, with exit code 0, if torchrun started it: for the last line of a command.

    Now and then one was aborted while Python ended, with all its work done: presumably by a thread of gloo
    that outlives its group and lets go of a tensor then (pytorch/pytorch#179291).
    """
    if _started_by_torchrun():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def number_of_processes() -> int:
    """How many processes share the run."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def is_first() -> bool:
    """Whether this process is the one that writes, prints and validates; also known outside of `joined`."""
    return not _started_by_torchrun() or os.environ["RANK"] == "0"


def rows_of_this(rows: int) -> range:
    """The rows of a batch that this process works on: equal shares, in the order of the processes.

    Args:
        rows: of the whole batch; divides by the number of processes.
    """
    if number_of_processes() == 1:
        return range(rows)
    share = rows // number_of_processes()
    first = share * distributed.get_rank()
    return range(first, first + share)


def mean_over_processes(values: Tensor) -> Tensor:
    """The mean of each value over the processes."""
    if number_of_processes() == 1:
        return values
    summed = values.clone()
    distributed.all_reduce(summed)
    return summed / number_of_processes()


def gathered(part: Tensor) -> Tensor:
    """What all processes have, [N, ...] each, in their order: [processes x N, ...]; all must ask."""
    if number_of_processes() == 1:
        return part
    whole = part.new_empty(number_of_processes() * len(part), *part.shape[1:])
    distributed.all_gather(list(whole.chunk(number_of_processes())), part.contiguous())
    return whole


def any_of_them(says_yes: bool, device: str) -> bool:
    """Whether any of the processes says yes; all must ask."""
    if number_of_processes() == 1:
        return says_yes
    votes = torch.tensor(float(says_yes), device=device)
    return bool(mean_over_processes(votes) > 0)


def all_have(number: int, device: str) -> bool:
    """Whether the processes have the same number; all must ask."""
    if number_of_processes() == 1:
        return True
    ends = torch.tensor([number, -number], device=device)
    distributed.all_reduce(ends, distributed.ReduceOp.MAX)
    return int(ends.sum()) == 0


def _started_by_torchrun() -> bool:
    return "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1
