"""What lets people look at many results: a line of JSON, a picture side by side, and a page of sliders."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

from dino_ir.errors import DataError, ImageError
from dino_ir.page import Entry, check_place, write_page
from dino_ir.places import Job
from dino_ir.restoration import Result
from dino_ir.side_by_side import write_side_by_side

__all__ = ["keep_apart", "write_looks"]

_WRITTEN = ("restored", "kept")


def keep_apart(files: Iterable[Path | None], jobs: Sequence[Job]) -> None:
    """Refuse to write a file of looks over a photo, a result, or another of these files.

    Raises:
        DataError: two of them are the same.
    """
    taken = {os.path.realpath(path): path for job in jobs for path in (job.photo, job.result)}
    for file in filter(None, files):
        place = os.path.realpath(file)
        if place in taken:
            raise DataError(f"{file} would be written over {taken[place]}; choose another name")
        taken[place] = file


def write_looks(
    results: Iterable[Result],
    records: Path | None = None,
    compare: Path | None = None,
    html: Path | None = None,
    done: Sequence[Job] = (),
    jobs: Sequence[Job] = (),
    overwrite: bool = False,
) -> Iterator[Result]:
    """Pass results on, and write what lets people look at them.

    Args:
        results: from `restoration.restore_files`.
        records: a file to which each appends a line of JSON; its folder is made.
        compare: a folder for a JPEG of each photo beside its result, by the result's name; it is made. One
            whose name is that of a photo, of a result, or of a file that was there has a number behind it.
        html: a page with all of them, written after the last one. Those that were skipped are in it too.
        done: photos that an earlier run restored, for the page.
        jobs: all photos of this run, with their results.
        overwrite: whether these JPEGs may replace files that were there, though never photos or results.

    Raises:
        DataError: `compare` is a file, or `html` no place for a page, as in `page.check_place`.
    """
    pairs = None if compare is None else _Pairs(compare, (*done, *jobs), overwrite)
    if records is not None:
        _make(records.parent)
    if html is not None:
        check_place(html)
    shown = [Result(job.photo, job.result, "restored") for job in done]
    with nullcontext() if records is None else records.open("ab", buffering=0) as file:
        for result in results:
            if file:
                file.write(_line(result))
            if pairs and result.status in _WRITTEN:
                result = pairs.add(result)
            shown.append(result._replace(record=None))
            yield result
    if html is not None:
        write_page(html, "Restored photos", (_entry(each) for each in shown if _lies_there(each)))


def _line(result: Result) -> bytes:
    row = {"photo": str(result.photo), "result": str(result.result)}
    row |= {"status": result.status, "message": result.message}
    return json.dumps(row | (result.record or {})).encode() + b"\n"


def _entry(result: Result) -> Entry:
    return Entry(str(result.photo), Path(result.photo), Path(result.result), caption=result.message)


def _lies_there(result: Result) -> bool:
    return result.status in _WRITTEN or (result.status == "skipped" and Path(result.result).is_file())


class _Pairs:
    """The folder of photos beside their results."""

    def __init__(self, folder: Path, jobs: Iterable[Job], overwrite: bool) -> None:
        _make(folder)
        self.folder, self.overwrite = folder, overwrite
        # How many pairs have each name: the search for a free number goes on from there.
        self.count = Counter[str]()
        self.taken = {os.path.realpath(path) for job in jobs for path in (job.photo, job.result)}

    def add(self, result: Result) -> Result:
        """Write a pair; where that cannot be, the result's message says so."""
        photo, restored = Path(result.photo), Path(result.result)
        try:
            write_side_by_side(self._place(restored.name), photo, restored)
        except ImageError as problem:
            words = f"not compared: {problem}"
            return result._replace(message="; ".join(filter(None, (result.message, words))))
        return result

    def _place(self, name: str) -> Path:
        """A place that is free: results of several folders may have one name."""
        while True:
            self.count[name] += 1
            number = self.count[name]
            path = self.folder / (f"{name}.jpg" if number == 1 else f"{name}_{number}.jpg")
            if self._is_free(path):
                break
        self.taken.add(os.path.realpath(path))
        return path

    def _is_free(self, path: Path) -> bool:
        is_there = os.path.lexists(path) and not self.overwrite
        return not is_there and os.path.realpath(path) not in self.taken


def _make(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file; name a folder")
    folder.mkdir(parents=True, exist_ok=True)
