"""What lets people look at many results: a line of JSON, a picture side by side, and a page of sliders."""

import json
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path

from dino_ir.errors import DataError
from dino_ir.page import Entry, write_page
from dino_ir.restoration import Result
from dino_ir.side_by_side import write_side_by_side

__all__ = ["write_looks"]

_WRITTEN = ("restored", "kept")


def write_looks(
    results: Iterable[Result],
    records: Path | None = None,
    compare: Path | None = None,
    html: Path | None = None,
) -> Iterator[Result]:
    """Pass results on, and write what lets people look at them.

    Args:
        results: from `restoration.restore_files`.
        records: a file to which each appends a line of JSON; its folder is made.
        compare: a folder for a JPEG of each photo beside its result, by the result's name; it is made.
        html: a page with all of them, written after the last one. Those that were skipped are in it too.

    Raises:
        DataError: `compare` is a file, or `html` a folder.
        ImageError: a picture cannot be read or written.
    """
    if compare is not None:
        _make(compare)
    if records is not None:
        _make(records.parent)
    if html is not None and html.is_dir():
        raise DataError(f"{html} is a folder; name a file for the page, such as {html / 'page.html'}")
    shown: list[Result] = []
    with nullcontext() if records is None else records.open("ab", buffering=0) as file:
        for result in results:
            if file:
                file.write(_line(result))
            if compare is not None and result.status in _WRITTEN:
                write_side_by_side(
                    _free(compare, Path(result.result)), Path(result.photo), Path(result.result)
                )
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


def _free(folder: Path, result: Path) -> Path:
    """A name that is not taken: results of several folders may have one name."""
    names = (f"{result.name}{number}.jpg" for number in ["", *map("_{}".format, range(2, 100_000))])
    return next(folder / name for name in names if not (folder / name).exists())


def _make(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file; name a folder")
    folder.mkdir(parents=True, exist_ok=True)
