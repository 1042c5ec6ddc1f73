"""A photo and what became of it in one picture, side by side."""

import os
from pathlib import Path

import pyvips

from dino_ir.errors import ImageError
from dino_ir.files.previews import Picture, read_preview
from dino_ir.formats import vips
from dino_ir.unfinished import unfinished_name

__all__ = ["GAP", "write_side_by_side"]

GAP = 4
"""Pixels of white between the two."""


def write_side_by_side(path: Path, degraded: Picture, restored: Picture, side: int = 1200) -> None:
    """Write a JPEG with the photo on the left and the result on the right; it appears whole or not at all.

    Args:
        path: the JPEG; its folder exists.
        degraded: before.
        restored: after, of the same size.
        side: pixels of each one's longer side, to which larger ones are shrunk.

    Raises:
        ImageError: a file that cannot be read, or a folder that cannot be written to.
    """
    pair = [read_preview(each, side) for each in (degraded, restored)]
    unfinished = unfinished_name(path)
    try:
        joined = pyvips.Image.arrayjoin(pair, across=2, shim=GAP, background=[255])
        joined.jpegsave(str(unfinished), Q=92, keep=0)
        os.replace(unfinished, path)
    except (*vips.Failure, OSError) as problem:
        raise ImageError(f"cannot write {path}: {vips.reason(problem)}") from None
    finally:
        unfinished.unlink(missing_ok=True)
