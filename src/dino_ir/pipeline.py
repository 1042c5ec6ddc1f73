"""Read, work and write at the same time, each on another item."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

__all__ = ["overlap"]

Item = TypeVar("Item")

WRITERS = 2
"""Threads that write. With the item that is read, and the one that is worked on, four are held at once."""

_PATIENCE = 0.05  # of the time an item took, spent on waiting until it is written


def overlap(
    items: Iterable[Item],
    read: Callable[[Item], None],
    work: Callable[[Item], None],
    write: Callable[[Item], None],
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Item]:
    """Take each item through three functions, and yield it when it is through; the order stays.

    While one is worked on, by the caller's own thread, the next is read and those before are written.
    Reading is left to a single thread: libvips has one place for what it complains of, and two photos
    that fail at once could each be given the other's complaint.

    Args:
        items: taken one by one, not before they are needed.
        read, work, write: what an item goes through; an exception ends everything.
        stop: asked before each item is worked on; once it says yes, those worked on already are
            written and yielded, and no other.
    """
    with ThreadPoolExecutor(1) as readers, ThreadPoolExecutor(WRITERS) as writers:
        written = deque[tuple[Item, Future[None]]]()
        for item, reading in _one_ahead(readers, read, items):
            reading.result()
            if stop():
                break
            started = time.perf_counter()
            work(item)
            seconds = time.perf_counter() - started
            written.append((item, writers.submit(write, item)))
            wait([written[-1][1]], _PATIENCE * seconds)  # where work is slow, each is yielded at once
            while written and (len(written) > WRITERS or written[0][1].done()):
                yield _through(written)
        while written:
            yield _through(written)


def _one_ahead(
    readers: ThreadPoolExecutor, read: Callable[[Item], None], items: Iterable[Item]
) -> Iterator[tuple[Item, Future[None]]]:
    """Each item and its reading, which has begun before the item is asked for."""
    begun = deque[tuple[Item, Future[None]]]()
    for item in items:
        begun.append((item, readers.submit(read, item)))
        if len(begun) > 1:
            yield begun.popleft()
    yield from begun


def _through(written: deque[tuple[Item, Future[None]]]) -> Item:
    item, writing = written.popleft()
    writing.result()
    return item
