"""Restore photo files: where each result goes, and one line on what became of each."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import torch

from dino_ir.contracts import Restorer
from dino_ir.errors import DataError, DinoIRError, ImageError
from dino_ir.files.images import IMAGE_SUFFIXES, list_images, read_photo, write_photo
from dino_ir.inference import restore

__all__ = ["Job", "Result", "plan", "restore_files", "tally"]

MARK = "_restored"
"""What is added to a photo's name where the result lies beside it."""

_NOT_WRITTEN = {
    *(".apng", ".avif", ".bmp", ".dng", ".exr", ".gif", ".hdr", ".heic", ".heif", ".ico", ".jfif", ".jp2"),
    *(".jpe", ".jxl", ".pbm", ".pgm", ".pnm", ".ppm", ".psd", ".svg", ".tga"),
}  # kinds of image: a name that ends so is meant as a file, not as a folder

Status = Literal["restored", "degraded", "skipped", "failed"]


class Job(NamedTuple):
    """A photo and where its restored version goes."""

    photo: Path
    result: Path


class Result(NamedTuple):
    """What became of one photo."""

    photo: Path
    result: Path
    status: Status
    message: str = ""  # why it was skipped or failed
    seconds: float = 0.0

    def __str__(self) -> str:
        if self.status in ("restored", "degraded"):
            return f"{self.photo} -> {self.result} ({self.seconds:.1f} s)"
        return f"{self.photo} {self.status}: {self.message}"


def plan(paths: Sequence[Path | str], out: Path | str | None = None) -> list[Job]:
    """Decide where each photo's result goes, before any work is done.

    Without `out` it goes beside the photo as NAME_restored.EXT. Such files found in folders are no
    photos, nor is a named one that is the result of another photo: a command may be given again.
    `out` is a file for one photo if it has an image's suffix, else a folder that keeps
    the photos' names and a listed folder's tree. Kinds of file that cannot be written become PNG.

    Args:
        paths: photos, and folders of photos, which are searched to the bottom.
        out: a file or a folder; it need not exist.

    Raises:
        DataError: a folder without photos, two results of one name, a result that would replace a
            photo, one file for several photos, or a file of a kind that cannot be written.
    """
    out = None if out is None else Path(out)
    if out is not None and out.suffix.lower() in _NOT_WRITTEN and not out.is_dir():
        raise DataError(f"cannot write {out}; a file's name must end in one of: {', '.join(IMAGE_SUFFIXES)}")
    listed = [Path(path) for path in paths]
    if out is not None and out.suffix.lower() in IMAGE_SUFFIXES and not out.is_dir():
        if len(listed) != 1 or listed[0].is_dir():
            raise DataError(f"{out} is one file, but there are several photos; name a folder instead")
        jobs = [Job(listed[0], out)]
    else:
        jobs = list(dict.fromkeys(job for path in listed for job in _jobs(path, out)))
    if out is None:
        results = {_place(job.result) for job in jobs}
        jobs = [job for job in jobs if _place(job.photo) not in results]
    _check_results(jobs)
    return jobs


def restore_files(
    restorer: Restorer,
    jobs: Iterable[Job],
    tile: int | str = "auto",
    strength: float = 1.0,
    overwrite: bool = False,
) -> Iterator[Result]:
    """Restore photo after photo and yield what became of each; one that fails does not stop the rest.

    Results keep the photo's bit depth, alpha and metadata.

    Args:
        restorer: from `inference.load`.
        jobs: from `plan`.
        tile: as in `inference.restore`.
        strength: as in `inference.restore`.
        overwrite: replace results that exist; otherwise their photos are skipped.
    """
    for photo, result in jobs:
        if result.exists() and not overwrite:
            yield Result(photo, result, "skipped", f"{result} exists")
            continue
        started = time.perf_counter()
        try:
            _restore_file(restorer, photo, result, tile, strength)
        except (DinoIRError, OSError) as problem:
            yield Result(photo, result, "failed", str(problem), time.perf_counter() - started)
        except (MemoryError, RuntimeError) as problem:
            if not _is_lack_of_memory(problem):
                raise
            message = "it does not fit into memory; try a smaller --tile, such as 256"
            yield Result(photo, result, "failed", message, time.perf_counter() - started)
        else:
            yield Result(photo, result, "restored", "", time.perf_counter() - started)


def tally(results: Sequence[Result]) -> str:
    """Say how many photos met which fate, such as "3 restored, 1 failed"."""
    counts = Counter(result.status for result in results)
    return ", ".join(f"{counts[status]} {status}" for status in get_args(Status) if counts[status])


def _jobs(path: Path, out: Path | None) -> list[Job]:
    if not path.is_dir():
        return [Job(path, _beside(path) if out is None else out / _writable(path).name)]
    photos = list_images(path)
    if out is None:
        photos = [photo for photo in photos if not photo.stem.endswith(MARK)]
    else:  # results of an earlier run in a folder below are not photos
        kept_out = out.resolve()
        inside = kept_out != path.resolve() and path.resolve() in kept_out.parents
        photos = [photo for photo in photos if not (inside and kept_out in photo.resolve().parents)]
    if not photos:
        raise DataError(f"{path} holds no photos ({', '.join(IMAGE_SUFFIXES)})")
    if out is None:
        return [Job(photo, _beside(photo)) for photo in photos]
    return [Job(photo, out / photo.relative_to(path)) for photo in photos]


def _beside(photo: Path) -> Path:
    return photo.with_name(f"{photo.stem}{MARK}{_writable(photo).suffix}")


def _place(path: Path) -> Path:
    """The one way to write where a file lies; a link is itself, not what it leads to."""
    return path.parent.resolve() / path.name


def _writable(photo: Path) -> Path:
    return photo if photo.suffix.lower() in IMAGE_SUFFIXES else photo.with_suffix(".png")


def _check_results(jobs: list[Job]) -> None:
    photos = {job.photo.resolve(): job.photo for job in jobs}
    taken: dict[Path, Path] = {}
    for photo, result in jobs:
        place = result.resolve()
        if place in photos:
            raise DataError(
                f"the result of {photo} would replace the photo {photos[place]}; choose another place"
            )
        if place in taken:
            raise DataError(f"{taken[place]} and {photo} would both become {result}; restore them separately")
        taken[place] = photo


def _restore_file(restorer: Restorer, path: Path, result: Path, tile: int | str, strength: float) -> None:
    photo = read_photo(path)
    restored = restore(restorer, photo.pixels.expand(3, -1, -1), tile, strength)
    if photo.is_grey:
        restored = restored.mean(dim=0, keepdim=True)
    try:
        result.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise ImageError(f"cannot write {result}: {result.parent} is a file, not a folder") from None
    write_photo(result, photo._replace(pixels=restored))


def _is_lack_of_memory(problem: Exception) -> bool:
    """Torch says so by an error of its own for CUDA, by a bare RuntimeError for the CPU and for MPS."""
    if isinstance(problem, MemoryError | torch.OutOfMemoryError):
        return True
    return any(words in str(problem) for words in ("DefaultCPUAllocator: ", "MPS backend out of memory"))
