"""Where the result of each photo file goes."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dino_ir.errors import DataError
from dino_ir.files.images import list_images
from dino_ir.formats.coding import kind_of
from dino_ir.formats.headers import IMAGE_SUFFIXES, KNOWN_SUFFIXES, READ_SUFFIXES

__all__ = ["Job", "plan"]

MARK = "_restored"
"""What is added to a photo's name where the result lies beside it."""

_NOT_WRITTEN = {*KNOWN_SUFFIXES}.difference(IMAGE_SUFFIXES)  # a name that ends so means no folder


class Job(NamedTuple):
    """A photo and where its restored version goes."""

    photo: Path
    result: Path


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
