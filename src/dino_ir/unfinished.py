"""The names that files have while they are written, and what a killed process left of them."""

import hashlib
import re
import secrets
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

__all__ = ["sweep", "unfinished_name"]

_NAME = re.compile(r"\.([0-9a-f]{8})[0-9a-f]{8}\.\w+")


def unfinished_name(path: Path) -> Path:
    """A hidden name beside a file, new each time, that tells whose it is and keeps the suffix."""
    return path.with_name(f".{_mark(path)}{secrets.token_hex(4)}{path.suffix}")


def sweep(paths: Iterable[Path]) -> None:
    """Remove what was left unfinished of these files, which nobody may be writing now."""
    marks = defaultdict[Path, set[str]](set)
    for path in paths:
        marks[path.parent].add(_mark(path))
    for folder, ours in marks.items():
        with suppress(OSError):  # such as a folder that is missing, or locked
            for file in folder.iterdir():
                name = _NAME.fullmatch(file.name)
                if name and name[1] in ours:
                    file.unlink(missing_ok=True)


def _mark(path: Path) -> str:
    return hashlib.sha256(path.name.encode(errors="surrogateescape")).hexdigest()[:8]
