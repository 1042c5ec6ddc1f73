"""Restore photo files, and say in one line what became of each."""

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from torch import Tensor

from dino_ir.account import Change, describe, measure_change
from dino_ir.contracts import Restorer
from dino_ir.errors import DinoIRError, ImageError
from dino_ir.estimation import Read, estimate_parts
from dino_ir.files.images import Photo, check_result, read_photo, write_photo
from dino_ir.formats.coding import kind_of
from dino_ir.formats.headers import kind_of_content
from dino_ir.ops.peak import forget_peak, peak_memory
from dino_ir.ops.room import is_lack_of_memory
from dino_ir.photos import AS_IT_COMES, Options, fit_colours, is_large, restore_large, restore_photo
from dino_ir.pipeline import overlap
from dino_ir.places import Job
from dino_ir.tiling import Report, device_of
from dino_ir.trust import Outcome, restore_trusted
from dino_ir.unfinished import unfinished_name

__all__ = ["Result", "is_waiting", "restore_files", "tally"]

Status = Literal["restored", "degraded", "kept", "skipped", "failed"]


class Result(NamedTuple):
    """What became of one photo."""

    photo: Path | str  # a string is a URL
    result: Path | str
    status: Status
    message: str = ""  # why it was kept, skipped or failed, or what could not be kept as it was
    seconds: float = 0.0  # of work on it, without the time it waited for others
    record: dict[str, Any] | None = None  # from `account.describe`, where it was asked for

    def __str__(self) -> str:
        if self.status in ("restored", "degraded", "kept"):
            facts = "; ".join(filter(None, (f"{self.seconds:.1f} s", self.message)))
            return _in_one_line(f"{self.photo} -> {self.result} ({facts})")
        return _in_one_line(f"{self.photo} {self.status}: {self.message}")


def restore_files(
    restorer: Restorer,
    jobs: Iterable[Job],
    options: Options = AS_IT_COMES,
    overwrite: bool = False,
    stop: Callable[[], bool] = lambda: False,
    report: Report | None = None,
    has_records: bool = False,
) -> Iterator[Result]:
    """Restore photo after photo and yield what became of each; one that fails does not stop the rest.

    Results keep the photo's bit depth, colours, alpha and metadata, as far as their kind of file can.
    While a photo is restored, the next is read and those before are written; a large one is read and written
    in pieces. One whose result cannot be trusted is restored again in full precision; if that cannot be
    trusted either, its result has the photo's own pixels, and its status is "kept". A photo that is not to be
    changed at all is copied as it lies, if it could be read as it is, and no other coding was asked for.

    Args:
        restorer: from `inference.load`.
        jobs: from `plan`.
        options: how to restore and to write.
        overwrite: replace results that exist; otherwise their photos are skipped, unless their job
            replaces what exists.
        stop: asked before each photo; once it says yes, no other is begun, and those begun are finished.
        report: as in `tiling.restore_tiles`, of the photo that is restored.
        has_records: whether results tell what the photo suffered from and how much was changed.
    """
    steps = _Steps(restorer, options, overwrite, report, has_records)
    for passage in overlap(map(_Passage, jobs), steps.read, steps.restore, steps.write, stop):
        yield passage.result()


def is_waiting(job: Job, overwrite: bool = False) -> bool:
    """Whether `restore_files` would restore a photo, and not skip it for its result exists."""
    return overwrite or job.replaces or not os.path.exists(job.result)


def tally(results: Sequence[Result]) -> str:
    """Say how many photos met which fate, such as "3 restored, 1 failed"."""
    counts = Counter(result.status for result in results)
    return ", ".join(f"{counts[status]} {status}" for status in get_args(Status) if counts[status])


class _Witness:
    """Sees what a photo suffers from, and how much of it is changed."""

    def __init__(self) -> None:
        self.size, self.found, self.change = (0, 0), dict[str, float](), Change()

    def begin(self, size: tuple[int, int], read: Read) -> None:
        self.size, self.found, self.change = size, estimate_parts(size, read), Change()

    def part(self, top: int, left: int, shown: Tensor, restored: Tensor) -> None:
        if (top, left) == (0, 0):
            self.change = Change()
        self.change = self.change.joined(measure_change(shown, restored))


class _Passage:
    """One photo on its way from file to file, and in the end what became of it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.photo: Photo | None = None  # as it was read, then restored; None if it is large, and in the end
        self.outcome: Outcome[Photo] | None = None
        self.witness: _Witness | None = None
        self.peak: int | None = None
        self.is_through = False
        self.status: Status = "restored"
        self.message, self.notes = "", tuple[str, ...]()
        self.seconds = 0.0

    def end(self, status: Status, message: str) -> None:
        self.is_through, self.status, self.message = True, status, message
        self.photo = self.outcome = None

    def judge(self, outcome: Outcome[Any], notes: tuple[str, ...]) -> None:
        """End with a result that lies there, and with what must be said of it."""
        if outcome.problems:
            fate = "kept as it was" if outcome.is_original else "made again in full precision"
            notes = (f"{fate}: {outcome.problems}", *notes)
        self.notes = notes
        self.end("kept" if outcome.is_original else "restored", "; ".join(notes))

    def result(self) -> Result:
        record = None
        if self.witness is not None and self.status in ("restored", "kept"):
            seen = self.witness
            change = Change() if self.status == "kept" else seen.change
            record = describe(seen.size, seen.found, change, self.seconds, self.peak, self.notes)
        return Result(self.job.photo, self.job.result, self.status, self.message, self.seconds, record)


def _guarded(step: "Callable[[_Steps, _Passage], None]") -> "Callable[[_Steps, _Passage], None]":
    """Take a step's time, and end the passage where it fails; one that has ended takes no step."""

    def take(steps: "_Steps", passage: _Passage) -> None:
        if passage.is_through:
            return
        started = time.perf_counter()
        try:
            step(steps, passage)
        except (DinoIRError, OSError) as problem:
            passage.end("failed", str(problem))
        except (MemoryError, RuntimeError) as problem:
            if not is_lack_of_memory(problem):
                raise
            passage.end("failed", "it does not fit into memory; try a smaller --tile, such as 256")
        passage.seconds += time.perf_counter() - started

    return take


class _Steps(NamedTuple):
    """What a passage goes through."""

    restorer: Restorer
    options: Options
    overwrite: bool
    report: Report | None
    has_records: bool

    @_guarded
    def read(self, passage: _Passage) -> None:
        job = passage.job
        if job.problem:
            passage.end("failed", job.problem)
        elif not is_waiting(job, self.overwrite):
            passage.end("skipped", f"{job.result} exists")
        elif not is_large(job.photo):
            passage.photo = read_photo(job.photo, self.options.max_pixels)

    @_guarded
    def restore(self, passage: _Passage) -> None:
        device = device_of(self.restorer)
        passage.witness = _Witness() if self.has_records else None
        forget_peak(device)
        self.restorer.forget()
        if passage.photo is None:
            self._restore_large(passage, device.type)
        else:
            self._restore_small(passage, passage.photo, device.type)
        passage.peak = peak_memory(device)

    @_guarded
    def write(self, passage: _Passage) -> None:
        job, photo, outcome = passage.job, passage.photo, passage.outcome
        if photo is not None and outcome is not None:
            check_result(job.result, photo)
            _make_folder(job.result)
            notes = photo.notes
            if self._is_a_copy(job, outcome, notes):
                _copy(job.photo, job.result)
            else:
                notes += write_photo(job.result, photo, self.options.quality, self.options.depth)
            passage.judge(outcome, notes)

    def _restore_small(self, passage: _Passage, photo: Photo, device: str) -> None:
        tile, strength, memory, *_ = self.options

        def restore() -> Photo:
            witness = passage.witness
            is_checked = self.options.is_checked
            return restore_photo(
                self.restorer, photo, tile, strength, memory, self.report, witness, is_checked
            )

        passage.outcome = restore_trusted(restore, lambda: photo, device)
        passage.photo = fit_colours(passage.outcome.made, passage.job.result)

    def _restore_large(self, passage: _Passage, device: str) -> None:
        photo, result, *_ = passage.job

        def restore(options: Options) -> tuple[str, ...]:
            return restore_large(self.restorer, photo, result, options, self.report, passage.witness)

        _make_folder(result)
        untouched = self.options._replace(strength=0)
        done = restore_trusted(lambda: restore(self.options), lambda: restore(untouched), device)
        if self._is_a_copy(passage.job, done, done.made):
            _copy(photo, result)
        passage.judge(done, done.made)

    def _is_a_copy(self, job: Job, outcome: Outcome[Any], notes: tuple[str, ...]) -> bool:
        """Whether the photo's own file is the best result: nothing in it changes, and nothing was lost."""
        is_same = outcome.is_original or self.options.strength == 0
        if not is_same or notes or self.options.quality or self.options.depth:
            return False
        with job.photo.open("rb") as file:
            return kind_of_content(file) == kind_of(job.result.suffix)


def _copy(photo: Path, result: Path) -> None:
    unfinished = unfinished_name(result)
    try:
        with photo.open("rb") as file, unfinished.open("xb") as copy:
            shutil.copyfileobj(file, copy)
        os.replace(unfinished, result)
    except OSError as problem:
        raise ImageError(f"cannot write {result}: {problem.strerror or problem}") from None
    finally:
        unfinished.unlink(missing_ok=True)


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
