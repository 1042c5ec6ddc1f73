"""Processes that share work, and the one thread that each of them works with."""

import multiprocessing
from collections.abc import Generator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

import torch

from dino_ir.errors import DinoIRError
from dino_ir.ops.allocator import keep_freed_memory

__all__ = ["one_thread", "workers"]


@contextmanager
def workers(count: int) -> Generator[Executor | None]:
    """Processes that share the work; None stands for this one alone.

    Raises:
        DinoIRError: one of them died.
    """
    if count == 1:
        yield None
        return
    context = multiprocessing.get_context("spawn")  # libvips does not survive a fork
    with ProcessPoolExecutor(count, context, keep_freed_memory) as pool:
        try:
            yield pool
        except BrokenProcessPool:
            raise DinoIRError("a process died, perhaps for want of memory: take fewer workers") from None
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def one_thread() -> Generator[None]:
    """Let torch compute with one thread, so that its sums do not depend on how many there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
