"""Where the result of each photo file goes, and which of several machines restores it."""

import codecs
import glob
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from dino_ir.errors import DataError
from dino_ir.files.images import list_images
from dino_ir.formats.coding import kind_of
from dino_ir.formats.headers import IMAGE_SUFFIXES, KNOWN_SUFFIXES, READ_SUFFIXES

__all__ = ["Job", "check_named", "name_result", "plan", "read_list", "shard_of"]

MARK = "_restored"
"""What is added to a photo's name where the result lies beside it."""

_NOT_WRITTEN = {*KNOWN_SUFFIXES}.difference(IMAGE_SUFFIXES)  # a name that ends so means no folder
_WILD = re.compile(r"[*?[]")


class Job(NamedTuple):
    """A photo and where its restored version goes."""

    photo: Path
    result: Path
    replaces: bool = False  # whether a file that lies there already may be replaced
    problem: str = ""  # why it cannot be done, and fails


class _Found(NamedTuple):
    photo: Path
    name: Path  # relative: what it keeps below `out`, and is divided by


def plan(
    paths: Sequence[Path | str],
    out: Path | str | None = None,
    suffix: str | None = None,
    listed: Sequence[Path | str] = (),
    shard: tuple[int, int] = (1, 1),
) -> list[Job]:
    """Decide where each photo's result goes, before any work is done.

    Without `out` it goes beside the photo as NAME_restored.EXT. Such files found in folders are no
    photos, nor is a named one that is the result of another photo: a command may be given again.
    `out` is a file for one photo if it has an image's suffix, else a folder that keeps the names of
    photos, the trees of folders, what a pattern left open, and of listed paths all folders, as tar
    does. Kinds of file that cannot be written become PNG.
    In a folder, files of kinds that cannot be read, and folders that cannot, are photos too: they fail later,
    each with its reason; so do photos whose results would be one file. A photo that is named twice, however
    it is spelt, is one.

    Args:
        paths: photos, folders of photos, which are searched to the bottom, and patterns such as
            "photos/**/*.jpg", where `**` is any number of folders. What exists is no pattern.
        out: a file or a folder; it need not exist.
        suffix: of one kind for all results, such as ".png"; None follows the photos.
        listed: more photos and folders, from `read_list`; none of them is a pattern.
        shard: number, from 1, and total of parts that photos are divided into by their names, which
            are those kept below `out`; only the photos of that part are given.

    Raises:
        DataError: a folder or a pattern without photos, a result that would replace a photo, one file
            for several photos, a file of a kind that cannot be written, or of another kind than
            `suffix`; an empty path.
    """
    check_named(*paths, *listed, "." if out is None else out)
    out = None if out is None else Path(out)
    if out is not None and out.suffix.lower() in _NOT_WRITTEN and not os.path.isdir(out):
        raise DataError(f"cannot write {out}; a file's name must end in one of: {', '.join(IMAGE_SUFFIXES)}")
    found = [one for path in paths for one in _find(Path(path), out)]
    found += [one for path in listed for one in _find_listed(Path(path), out)]
    if not found:
        raise DataError("the list of photos is empty")
    if out is not None and out.suffix.lower() in IMAGE_SUFFIXES and not os.path.isdir(out):
        if len({_real(one.photo) for one in found}) != 1 or any(
            os.path.isdir(path) for path in (*paths, *listed)
        ):
            raise DataError(f"{out} is one file, but there are several photos; name a folder instead")
        if suffix and kind_of(suffix) != kind_of(out.suffix):
            raise DataError(f"{out} is no {kind_of(suffix)}; name it {out.with_suffix(suffix).name}")
        names = {Job(found[0].photo, out): found[0].name}
    else:
        names = {Job(one.photo, _result(one, out, suffix)): one.name for one in found}
    if out is None:
        results = {_place(job.result) for job in names}
        names = {job: name for job, name in names.items() if _place(job.photo) not in results}
    names = _apart(names)
    number, total = shard
    return [job for job, name in names.items() if shard_of(name, total) == number]


def check_named(*paths: Path | str) -> None:
    """Refuse a path without a letter, which a shell makes of a variable that is not set.

    Raises:
        DataError: there is one.
    """
    if "" in paths:
        raise DataError("a path is empty; the folder that one is in has the name .")


def read_list(content: bytes) -> list[str]:
    """The paths in a list: one a line, or, as `find -print0` writes them, each with a zero byte behind it.

    A mark of UTF-8 at the start, as Windows writes it, is no part of the first.
    """
    content = content.removeprefix(codecs.BOM_UTF8)
    lines = content.split(b"\0") if b"\0" in content else content.splitlines()
    return [os.fsdecode(line) for line in lines if line.strip()]


def shard_of(name: Path, total: int) -> int:
    """The part, 1 to `total`, that a photo of this name belongs to: the same on every machine."""
    start = hashlib.sha256(name.as_posix().encode(errors="surrogateescape")).digest()[:8]
    return int.from_bytes(start) % total + 1


def name_result(photo: Path, suffix: str | None = None) -> Path:
    """The photo's name, with a suffix that can be written, and is of the kind asked for."""
    if photo.suffix.lower() not in READ_SUFFIXES:  # it may well lie beside its own JPEG
        return photo.parent / f"{photo.name}{suffix or '.png'}"  # a folder . that cannot be read has no name
    is_written = photo.suffix.lower() in IMAGE_SUFFIXES
    if is_written and (suffix is None or kind_of(photo.suffix) == kind_of(suffix)):
        return photo
    return photo.with_suffix(suffix or ".png")


def _find(path: Path, out: Path | None) -> list[_Found]:
    if os.path.isdir(path):
        root, photos = path, list_images(path, KNOWN_SUFFIXES)
    elif _WILD.search(str(path)) and not os.path.lexists(path):
        root = Path(*takewhile(lambda part: not _WILD.search(part), path.parts))
        photos = sorted({*_match(path)})
    else:
        return [_Found(path, Path(path.name))]
    photos = _without_results(path, root, photos, out)
    if photos == [path]:  # a folder that cannot be read
        return [_Found(path, Path(path.name))]
    return [_Found(photo, photo.relative_to(root)) for photo in photos]


def _find_listed(path: Path, out: Path | None) -> Iterator[_Found]:
    photos = [path]
    if os.path.isdir(path):
        photos = _without_results(path, path, list_images(path, KNOWN_SUFFIXES), out)
    for photo in photos:
        kept = (part for part in photo.parts if part not in (photo.anchor, ".."))
        yield _Found(photo, Path(*kept))


def _match(pattern: Path) -> Iterator[Path]:
    """The images that a pattern fits, and those in the folders that it fits."""
    for path in map(Path, glob.iglob(str(pattern), recursive=True)):
        if os.path.isdir(path):
            yield from list_images(path, KNOWN_SUFFIXES)
        elif path.suffix.lower() in KNOWN_SUFFIXES:
            yield path


def _without_results(path: Path, root: Path, photos: list[Path], out: Path | None) -> list[Path]:
    """Leave out what an earlier run wrote.

    Raises:
        DataError: nothing is left.
    """
    if out is None:
        photos = [photo for photo in photos if not photo.stem.endswith(MARK) or os.path.isdir(photo)]
    else:  # results of an earlier run in a folder below are not photos
        kept_out = _real(out)
        inside = kept_out != _real(root) and _real(root) in kept_out.parents
        photos = [photo for photo in photos if not (inside and kept_out in _real(photo).parents)]
    if not photos:
        raise DataError(f"{path} holds no photos ({', '.join(IMAGE_SUFFIXES)})")
    return photos


def _result(found: _Found, out: Path | None, suffix: str | None) -> Path:
    if out is not None:
        return out / name_result(found.name, suffix)
    name = name_result(found.photo, suffix)
    return name.with_name(f"{name.stem}{MARK}{name.suffix}")


def _place(path: Path) -> Path:
    """The one way to write where a file lies; a link is itself, not what it leads to."""
    return _real(path.parent) / path.name


def _real(path: Path) -> Path:
    """Where links lead; unlike `Path.resolve`, in a circle of them too."""
    return Path(os.path.realpath(path))


def _apart(jobs: dict[Job, Path]) -> dict[Job, Path]:
    """Keep one of those that have the same photo and the same result, and let those with only that fail.

    Raises:
        DataError: a result would replace a photo.
    """
    photos = {_real(job.photo): job.photo for job in jobs}
    taken: dict[Path, dict[Path, Job]] = {}
    for job in jobs:
        place = _real(job.result)
        if place in photos:
            raise DataError(
                f"the result of {job.photo} would replace the photo {photos[place]}; choose another place"
            )
        taken.setdefault(place, {}).setdefault(_real(job.photo), job)
    rivals = (list(each.values()) for each in taken.values())
    return {job: jobs[known] for each in rivals for known, job in zip(each, _without_rivals(each))}


def _without_rivals(jobs: list[Job]) -> list[Job]:
    """The jobs of one result: as it is if it is alone, else each with another's name in its problem."""
    if len(jobs) == 1:
        return jobs
    words = "would become {} too; restore them separately"
    others = (*jobs[1:], jobs[0])
    return [
        job._replace(problem=f"{other.photo} {words.format(job.result)}") for job, other in zip(jobs, others)
    ]
