"""Photos before and after, as one HTML file that needs nothing else: a slider for each, to be looked at."""

import base64
import os
import tempfile
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import IO, NamedTuple

import pyvips

from dino_ir.errors import DataError, ImageError
from dino_ir.files.previews import Picture, read_preview
from dino_ir.unfinished import unfinished_name

__all__ = ["Entry", "check_place", "make_preview", "open_page", "write_page"]

_TEMPLATE = Path(__file__).with_suffix(".html")
_MARK = "<!-- entries -->"
_OURS = b'<meta name="generator" content="dino-ir">'  # near the top of every page
_SIDE, _QUALITY = 640, 90


class Entry(NamedTuple):
    """One photo of a page; its pictures have one size. Bytes are what `make_preview` made."""

    name: str
    degraded: Picture | bytes
    restored: Picture | bytes
    clean: Picture | bytes | None = None
    score: float | None = None  # the higher the better
    caption: str = ""  # such as its scores
    group: str = ""  # such as its benchmark: the page can show one group alone
    rank: int = 0  # scores compare within a rank; lower ranks come first


class _Piece(NamedTuple):
    """An entry as it lies in the spool; pieces sort as they come in the page."""

    has_no_score: bool
    rank: int
    score: float
    start: int
    length: int


def check_place(path: Path) -> None:
    """Refuse to write a page to a place that is no file's, or over anything but a page that was made here.

    Raises:
        DataError: a folder, a name that does not end in .html or .htm, a folder that is a file or that cannot
            be written to, another file.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder; name a file for the page, such as {path / 'page.html'}")
    if path.suffix.lower() not in (".html", ".htm"):
        raise DataError(f"{path} does not end in .html; name a file for the page, such as {path}.html")
    nearest = next(folder for folder in path.parents if folder.exists())
    if not nearest.is_dir():
        raise DataError(f"{nearest} is a file, so {path} cannot lie in it; name another folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise DataError(f"{nearest} cannot be written to, so {path} cannot lie in it; name another folder")
    if path.exists() and not _is_ours(path):
        raise DataError(f"{path} is there already and is no page of ours; choose another name")


def make_preview(picture: Picture, side: int = _SIDE, quality: int = _QUALITY) -> bytes:
    """A picture as a page shows it: a JPEG, shrunk where it is larger than `side`.

    Raises:
        ImageError: a file that cannot be read.
    """
    return read_preview(picture, side).jpegsave_buffer(Q=quality, subsample_mode="off", keep=0)


def write_page(
    path: Path, title: str, entries: Iterable[Entry], side: int = _SIDE, quality: int = _QUALITY
) -> None:
    """Write a page that compares the pictures of each photo; see `open_page`.

    Args:
        path, title, side, quality: as there.
        entries: may be made while they are taken.

    Raises:
        DataError: as there.
    """
    with open_page(path, title, side, quality) as add:
        for entry in entries:
            add(entry)


@contextmanager
def open_page(
    path: Path, title: str, side: int = _SIDE, quality: int = _QUALITY, ranks: Sequence[str] = ()
) -> Generator[Callable[[Entry], None]]:
    """Yield a function that adds a photo to a page; at the end the page appears under its name.

    It appears whole, or not at all where an exception ends the block. The lowest scores come first; photos
    without a score follow, in the order they came. Each entry is shrunk and put on disk as it is added, so
    any number of them fits into memory. One whose pictures cannot be read has a line that says so.

    Args:
        path: the HTML file; its folder is made.
        title: above the photos.
        side: pixels of the longer side that pictures are shrunk to where they are larger.
        quality: of the JPEGs in the page, 1 to 100.
        ranks: by what photos are in order, in words that follow "worst first", such as "by PSNR", by rank.

    Raises:
        DataError: as `check_place`.
    """
    check_place(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished, pieces = unfinished_name(path), list[_Piece]()
    try:
        with tempfile.TemporaryFile(dir=path.parent) as spool:

            def add(entry: Entry) -> None:
                text = _text(entry, side, quality).encode(errors="replace")  # names need not be text
                score = entry.score or 0.0
                pieces.append(_Piece(entry.score is None, entry.rank, score, spool.tell(), len(text)))
                spool.write(text)

            yield add
            with unfinished.open("wb") as page:
                _assemble(page, title, spool, sorted(pieces), ranks)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _is_ours(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return _OURS in file.read(1000)


def _assemble(
    page: IO[bytes], title: str, spool: IO[bytes], pieces: Sequence[_Piece], ranks: Sequence[str]
) -> None:
    template = _TEMPLATE.read_text(encoding="utf-8")
    for place, words in (("{{title}}", title), ("{{summary}}", _summary(pieces, ranks))):
        template = template.replace(place, escape(words))
    head, _, foot = template.partition(_MARK)
    page.write(head.encode(errors="replace"))
    for piece in pieces:
        spool.seek(piece.start)
        page.write(spool.read(piece.length))
    page.write(foot.encode())


def _summary(pieces: Sequence[_Piece], ranks: Sequence[str]) -> str:
    photos = f"{len(pieces)} photo{'' if len(pieces) == 1 else 's'}"
    found = sorted({piece.rank for piece in pieces if not piece.has_no_score})
    if not found:
        return photos
    return " ".join(
        [f"{photos}, worst first", ", then ".join(ranks[rank] for rank in found if ranks)]
    ).strip()


def _text(entry: Entry, side: int, quality: int) -> str:
    try:
        return _article(entry, side, quality)
    except ImageError as problem:
        name, words = escape(entry.name), escape(str(problem))
        return f'<article class="missing"{_group(entry)}><h2>{name}</h2><p>{words}</p></article>\n'


def _article(entry: Entry, side: int, quality: int) -> str:
    pictures = {"degraded": entry.degraded, "restored": entry.restored, "clean": entry.clean}
    jpegs = {
        what: each if isinstance(each, bytes) else make_preview(each, side, quality)
        for what, each in pictures.items()
        if each is not None
    }
    name, size = escape(entry.name), pyvips.Image.new_from_buffer(jpegs["restored"], "")
    lines = "".join(f"<p>{escape(line)}</p>" for line in (entry.group, entry.caption) if line)
    return (
        f'<article{_group(entry)}><div class="photo" style="--width: {size.width}; --height: {size.height}">'
        f"{''.join(_image(what, jpeg) for what, jpeg in jpegs.items())}"
        f'<input type="range" aria-label="{name}"></div>'
        f"<h2>{name}</h2>{lines}</article>\n"
    )


def _group(entry: Entry) -> str:
    return f' data-group="{escape(entry.group)}"' if entry.group else ""


def _image(what: str, jpeg: bytes) -> str:
    """Its data is in an attribute of its own, for browsers decode at once what is in `src`, lazy or not."""
    return f'<img alt="{what}" data-src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}">'
