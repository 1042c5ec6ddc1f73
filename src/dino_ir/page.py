"""Photos before and after, as one HTML file that needs nothing else: a slider for each, to be looked at."""

import base64
import os
import tempfile
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import IO, NamedTuple

import pyvips

from dino_ir.errors import DataError, ImageError
from dino_ir.files.previews import Picture, read_preview
from dino_ir.unfinished import unfinished_name

__all__ = ["Entry", "write_page"]

_TEMPLATE = Path(__file__).with_suffix(".html")
_MARK = "<!-- entries -->"


class Entry(NamedTuple):
    """One photo of a page; its pictures have one size."""

    name: str
    degraded: Picture
    restored: Picture
    clean: Picture | None = None
    score: float | None = None  # the higher the better
    caption: str = ""  # such as its scores


def write_page(path: Path, title: str, entries: Iterable[Entry], side: int = 640, quality: int = 90) -> None:
    """Write a page that compares the pictures of each photo; it appears under its name whole or not at all.

    The lowest scores come first; photos without a score follow, in the order they came. Each entry is
    taken, shrunk and put on disk before the next one, so any number of them fits into memory. One whose
    pictures cannot be read has a line that says so.

    Args:
        path: the HTML file; its folder is made.
        title: above the photos.
        entries: may be made while they are taken.
        side: pixels of the longer side that pictures are shrunk to where they are larger.
        quality: of the JPEGs in the page, 1 to 100.

    Raises:
        DataError: there is a folder of that name.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder; name a file for the page, such as {path / 'page.html'}")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = unfinished_name(path)
    try:
        with tempfile.TemporaryFile(dir=path.parent) as spool, unfinished.open("wb") as page:
            pieces: list[tuple[bool, float, int, int]] = []  # no score, score, where in the spool, bytes
            for entry in entries:
                try:
                    article = _article(entry, side, quality)
                except ImageError as problem:
                    article = _missing(entry, problem)
                text = article.encode(errors="replace")  # names need not be text
                pieces.append((entry.score is None, entry.score or 0.0, spool.tell(), len(text)))
                spool.write(text)
            _assemble(page, title, spool, sorted(pieces))
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _assemble(
    page: IO[bytes], title: str, spool: IO[bytes], pieces: list[tuple[bool, float, int, int]]
) -> None:
    photos = f"{len(pieces)} photo{'' if len(pieces) == 1 else 's'}"
    order = ", worst first" if any(not without for without, *_ in pieces) else ""
    template = _TEMPLATE.read_text(encoding="utf-8")
    for place, words in (("{{title}}", title), ("{{summary}}", photos + order)):
        template = template.replace(place, escape(words))
    head, _, foot = template.partition(_MARK)
    page.write(head.encode(errors="replace"))
    for *_, start, length in pieces:
        spool.seek(start)
        page.write(spool.read(length))
    page.write(foot.encode())


def _article(entry: Entry, side: int, quality: int) -> str:
    pictures = {"degraded": entry.degraded, "restored": entry.restored, "clean": entry.clean}
    images = {what: read_preview(each, side) for what, each in pictures.items() if each is not None}
    name, size = escape(entry.name), images["restored"]
    return (
        f'<article><div class="photo" style="--width: {size.width}; --height: {size.height}">'
        f"{''.join(_image(what, image, quality) for what, image in images.items())}"
        f'<input type="range" aria-label="{name}"></div>'
        f"<h2>{name}</h2><p>{escape(entry.caption)}</p></article>\n"
    )


def _missing(entry: Entry, problem: ImageError) -> str:
    name, words = escape(entry.name), escape(str(problem))
    return f'<article class="missing"><h2>{name}</h2><p>{words}</p></article>\n'


def _image(what: str, image: pyvips.Image, quality: int) -> str:
    """Its data is in an attribute of its own, for browsers decode at once what is in `src`, lazy or not."""
    jpeg = image.jpegsave_buffer(Q=quality, subsample_mode="off", keep=0)
    return f'<img alt="{what}" data-src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}">'
