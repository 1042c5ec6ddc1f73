"""A manifest: what became of each photo, a JSON line each, so that a run that died can be resumed."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dino_ir.errors import DataError
from dino_ir.places import Job
from dino_ir.restoration import Result
from dino_ir.unfinished import sweep

__all__ = ["Manifest"]

_START = b'{"photo": '
_DONE, _WRITTEN = ("restored",), ("restored", "kept")
_Stamp = list[int] | None


class _Done(NamedTuple):
    """What is known of a result from its last row."""

    is_wanted: bool  # restored, by the settings of now
    photo_stamp: _Stamp
    result_stamp: _Stamp


class Manifest:
    """Notes results as they come, and knows those of earlier runs.

    Each row is appended by a single write, so the file holds whole rows whenever the process dies; one
    that the system cut short is cut off by the next run. No two runs may write to one file at a time.

    Args:
        path: of the file; its folder is made.
        settings: what results depend on besides their photos, such as the digest of the weights.
        resumes: go on with a file that exists.

    Raises:
        DataError: it exists and is not resumed, or is no manifest.
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], resumes: bool = False) -> None:
        self.path, self.settings = path, dict(settings)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self._resumes = resumes
        self._known = _read(path, self.settings, resumes)

    def rest(self, jobs: Iterable[Job]) -> list[Job]:
        """The jobs that are not done: new, failed, or whose photo or settings changed since.

        A job replaces its result where that is still the very file that was written then. What a run
        that was killed left unfinished of these results is removed.
        """
        rest: list[Job] = []
        for job in jobs:
            key = os.path.abspath(job.result)
            known = self._known.get(key, _Done(False, None, None))
            photo, result = _stamp(job.photo), _stamp(job.result)
            is_ours = result is not None and result == known.result_stamp
            if not (is_ours and known.is_wanted and photo == known.photo_stamp):
                rest.append(job._replace(replaces=job.replaces or is_ours))
                self._known[key] = _Done(False, photo, result if is_ours else None)
        if self._resumes:
            sweep(job.result for job in rest)
        return rest

    def note(self, results: Iterable[Result]) -> Iterator[Result]:
        """Append a row for each result that passes; their jobs came from `rest`."""
        with self.path.open("ab", buffering=0) as file:
            for result in results:
                file.write(self._row(result))
                yield result

    def _row(self, result: Result) -> bytes:
        key = os.path.abspath(result.result)
        known = self._known[key]
        row = {
            "photo": os.path.abspath(result.photo),
            "status": result.status,
            "message": result.message,
            "seconds": round(result.seconds, 3),
            "result": key,
            "photo_stamp": known.photo_stamp,  # as it was before it was read
            "result_stamp": _stamp(Path(key)) if result.status in _WRITTEN else known.result_stamp,
            "settings": self.settings,
        }
        return json.dumps(row).encode() + b"\n"


def _stamp(path: Path) -> _Stamp:
    """What tells a file from what lies there later: its size in bytes, and its time in nanoseconds."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _read(path: Path, settings: Mapping[str, Any], resumes: bool) -> dict[str, _Done]:
    """What is known of each result; a last row that is not whole is cut off the file."""
    known = dict[str, _Done]()
    with path.open("r+b") as file:
        for number, line in enumerate(file, 1):
            if not resumes:
                raise DataError(f"{path} exists: go on with it by --resume, or name another file")
            if not line.endswith(b"\n") and line.startswith(_START[: len(line)]):
                file.truncate(file.tell() - len(line))
                break
            try:
                row = json.loads(line)
                is_wanted = row["status"] in _DONE and row["settings"] == settings
                known[row["result"]] = _Done(is_wanted, row["photo_stamp"], row["result_stamp"])
            except (ValueError, TypeError, KeyError):
                raise DataError(f"{path} is no manifest: line {number} is none of its rows") from None
    return known
