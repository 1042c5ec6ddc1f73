"""Restore photo files, and say in one line what became of each."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import torch

from dino_ir.contracts import Restorer
from dino_ir.errors import DinoIRError, ImageError
from dino_ir.files.images import MAX_PIXELS, read_photo, write_photo
from dino_ir.formats.coding import Bits
from dino_ir.photos import fit_colours, restore_photo
from dino_ir.places import Job

__all__ = ["Coding", "Result", "restore_files", "tally"]

Status = Literal["restored", "degraded", "skipped", "failed"]


class Coding(NamedTuple):
    """How photos are read and written; what is None follows each photo."""

    quality: int | None = None  # of JPEG, WebP and AVIF, 1 to 100
    depth: Bits | None = None  # bits of one number
    max_pixels: float = MAX_PIXELS  # larger photos fail before they are decoded


AS_THEY_COME = Coding()


class Result(NamedTuple):
    """What became of one photo."""

    photo: Path
    result: Path
    status: Status
    message: str = ""  # why it was skipped or failed, or what could not be kept as it was
    seconds: float = 0.0

    def __str__(self) -> str:
        if self.status in ("restored", "degraded"):
            facts = "; ".join(filter(None, (f"{self.seconds:.1f} s", self.message)))
            return _in_one_line(f"{self.photo} -> {self.result} ({facts})")
        return _in_one_line(f"{self.photo} {self.status}: {self.message}")


def restore_files(
    restorer: Restorer,
    jobs: Iterable[Job],
    tile: int | str = "auto",
    strength: float = 1.0,
    overwrite: bool = False,
    coding: Coding = AS_THEY_COME,
) -> Iterator[Result]:
    """Restore photo after photo and yield what became of each; one that fails does not stop the rest.

    Results keep the photo's bit depth, colours, alpha and metadata, as far as their kind of file can.

    Args:
        restorer: from `inference.load`.
        jobs: from `plan`.
        tile: as in `inference.restore`.
        strength: as in `inference.restore`.
        overwrite: replace results that exist; otherwise their photos are skipped.
        coding: what to read, and how to write.
    """
    for job in jobs:
        started = time.perf_counter()
        status: Status = "restored"
        try:
            if job.result.exists() and not overwrite:
                yield Result(*job, "skipped", f"{job.result} exists")
                continue
            photo = read_photo(job.photo, coding.max_pixels)
            restored = fit_colours(restore_photo(restorer, photo, tile, strength), job.result)
            _make_folder(job.result)
            lost = write_photo(job.result, restored, coding.quality, coding.depth)
            message = "; ".join(restored.notes + lost)
        except (DinoIRError, OSError) as problem:
            status, message = "failed", str(problem)
        except (MemoryError, RuntimeError) as problem:
            if not _is_lack_of_memory(problem):
                raise
            status, message = "failed", "it does not fit into memory; try a smaller --tile, such as 256"
        yield Result(*job, status, message, time.perf_counter() - started)


def tally(results: Sequence[Result]) -> str:
    """Say how many photos met which fate, such as "3 restored, 1 failed"."""
    counts = Counter(result.status for result in results)
    return ", ".join(f"{counts[status]} {status}" for status in get_args(Status) if counts[status])


def _make_folder(result: Path) -> None:
    try:
        result.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise ImageError(f"cannot write {result}: {result.parent} is a file, not a folder") from None
    except OSError as problem:
        raise ImageError(f"cannot write {result}: {problem.strerror or problem}") from None


def _in_one_line(text: str) -> str:
    """Names of files may hold line breaks, and bytes that are no text."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _is_lack_of_memory(problem: Exception) -> bool:
    """Torch says so by an error of its own for CUDA, by a bare RuntimeError for the CPU and for MPS."""
    if isinstance(problem, MemoryError | torch.OutOfMemoryError):
        return True
    return any(words in str(problem) for words in ("DefaultCPUAllocator: ", "MPS backend out of memory"))
