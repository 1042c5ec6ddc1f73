"""Restore photo files: where each result goes, and one line on what became of each."""

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import torch

from dino_ir.contracts import Restorer
from dino_ir.errors import DataError, DinoIRError, ImageError
from dino_ir.files.images import MAX_PIXELS, Photo, list_images, read_photo, write_photo
from dino_ir.formats.coding import Bits, kind_of
from dino_ir.formats.headers import IMAGE_SUFFIXES, KNOWN_SUFFIXES, READ_SUFFIXES
from dino_ir.inference import restore
from dino_ir.ops.color import to_linear, to_srgb
from dino_ir.ops.fill import fill
from dino_ir.ops.profiles import Profile, from_light, read_profile, to_light

__all__ = ["Coding", "Job", "Result", "plan", "restore_files", "tally"]

MARK = "_restored"
"""What is added to a photo's name where the result lies beside it."""

_NOT_WRITTEN = {*KNOWN_SUFFIXES}.difference(IMAGE_SUFFIXES)  # a name that ends so means no folder

Status = Literal["restored", "degraded", "skipped", "failed"]


class Job(NamedTuple):
    """A photo and where its restored version goes."""

    photo: Path
    result: Path


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


def plan(paths: Sequence[Path | str], out: Path | str | None = None, suffix: str | None = None) -> list[Job]:
    """Decide where each photo's result goes, before any work is done.

    Without `out` it goes beside the photo as NAME_restored.EXT. Such files found in folders are no
    photos, nor is a named one that is the result of another photo: a command may be given again.
    `out` is a file for one photo if it has an image's suffix, else a folder that keeps
    the photos' names and a listed folder's tree. Kinds of file that cannot be written become PNG.
    In a folder, files of kinds that cannot be read are photos too: they fail later, each with its reason.

    Args:
        paths: photos, and folders of photos, which are searched to the bottom.
        out: a file or a folder; it need not exist.
        suffix: of one kind for all results, such as ".png"; None follows the photos.

    Raises:
        DataError: a folder without photos, two results of one name, a result that would replace a
            photo, one file for several photos, a file of a kind that cannot be written, or of
            another kind than `suffix`.
    """
    out = None if out is None else Path(out)
    if out is not None and out.suffix.lower() in _NOT_WRITTEN and not out.is_dir():
        raise DataError(f"cannot write {out}; a file's name must end in one of: {', '.join(IMAGE_SUFFIXES)}")
    listed = [Path(path) for path in paths]
    if out is not None and out.suffix.lower() in IMAGE_SUFFIXES and not out.is_dir():
        if len(listed) != 1 or listed[0].is_dir():
            raise DataError(f"{out} is one file, but there are several photos; name a folder instead")
        if suffix and kind_of(suffix) != kind_of(out.suffix):
            raise DataError(f"{out} is no {kind_of(suffix)}; name it {out.with_suffix(suffix).name}")
        jobs = [Job(listed[0], out)]
    else:
        jobs = list(dict.fromkeys(job for path in listed for job in _jobs(path, out, suffix)))
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
            restored = _fit_colours(_restore_photo(restorer, photo, tile, strength), job.result)
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


def _jobs(path: Path, out: Path | None, suffix: str | None) -> list[Job]:
    if not path.is_dir():
        name = _named(path, suffix)
        return [Job(path, _beside(name) if out is None else out / name.name)]
    photos = list_images(path, KNOWN_SUFFIXES)
    if out is None:
        photos = [photo for photo in photos if not photo.stem.endswith(MARK)]
    else:  # results of an earlier run in a folder below are not photos
        kept_out = _real(out)
        inside = kept_out != _real(path) and _real(path) in kept_out.parents
        photos = [photo for photo in photos if not (inside and kept_out in _real(photo).parents)]
    if not photos:
        raise DataError(f"{path} holds no photos ({', '.join(IMAGE_SUFFIXES)})")
    if out is None:
        return [Job(photo, _beside(_named(photo, suffix))) for photo in photos]
    return [Job(photo, out / _named(photo, suffix).relative_to(path)) for photo in photos]


def _beside(name: Path) -> Path:
    return name.with_name(f"{name.stem}{MARK}{name.suffix}")


def _place(path: Path) -> Path:
    """The one way to write where a file lies; a link is itself, not what it leads to."""
    return _real(path.parent) / path.name


def _real(path: Path) -> Path:
    """Where links lead; unlike `Path.resolve`, in a circle of them too."""
    return Path(os.path.realpath(path))


def _named(photo: Path, suffix: str | None) -> Path:
    """The photo's name, with a suffix that can be written, and is of the kind asked for."""
    if photo.suffix.lower() not in READ_SUFFIXES:  # it may well lie beside its own JPEG
        return photo.with_name(f"{photo.name}{suffix or '.png'}")
    is_written = photo.suffix.lower() in IMAGE_SUFFIXES
    if is_written and (suffix is None or kind_of(photo.suffix) == kind_of(suffix)):
        return photo
    return photo.with_suffix(suffix or ".png")


def _check_results(jobs: list[Job]) -> None:
    photos = {_real(job.photo): job.photo for job in jobs}
    taken: dict[Path, Path] = {}
    for photo, result in jobs:
        place = _real(result)
        if place in photos:
            raise DataError(
                f"the result of {photo} would replace the photo {photos[place]}; choose another place"
            )
        if place in taken:
            raise DataError(f"{taken[place]} and {photo} would both become {result}; restore them separately")
        taken[place] = photo


def _restore_photo(restorer: Restorer, photo: Photo, tile: int | str, strength: float) -> Photo:
    """Carry over what changed, to numbers of the photo's own profile, and to pixels that are seen.

    So a restorer that changes nothing gives the very numbers back.
    """
    if strength == 0:
        return photo
    is_seen = None if photo.alpha is None else photo.alpha > 0
    pixels = photo.pixels if is_seen is None else fill(photo.pixels, is_seen)
    profile, notes = _profile(photo)
    view = to_srgb(to_light(pixels, profile)) if profile else pixels.expand(3, -1, -1)
    shown = view.clamp(0, 1)
    change = restore(restorer, shown, tile, strength) - shown
    if profile:
        before, after = (from_light(to_linear(each), profile) for each in (view, view + change))
        change = after - before
    elif photo.is_grey:
        change = change.mean(dim=0, keepdim=True)
    restored = photo.pixels + (change if is_seen is None else change * is_seen)
    return photo._replace(pixels=restored, notes=photo.notes + notes)


def _profile(photo: Photo) -> tuple[Profile | None, tuple[str, ...]]:
    """What the photo's numbers mean, None for sRGB; and why that is not what its own profile says."""
    data = photo.metadata.get("icc-profile-data")
    if not isinstance(data, bytes):
        return None, ()
    try:
        return read_profile(data, len(photo.pixels)), ()
    except ValueError as problem:
        return None, (f"its colour profile {problem}: taken for sRGB while it was restored",)


def _fit_colours(photo: Photo, result: Path) -> Photo:
    """Turn grey of a profile of its own into sRGB where the result's kind of file knows no grey."""
    profile, _notes = _profile(photo)
    if not (photo.is_grey and profile and kind_of(result.suffix) in ("AVIF", "WebP")):
        return photo
    metadata = {name: value for name, value in photo.metadata.items() if name != "icc-profile-data"}
    pixels = to_srgb(to_light(photo.pixels, profile))
    return photo._replace(pixels=pixels, metadata=metadata, notes=(*photo.notes, "its grey became sRGB"))


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
