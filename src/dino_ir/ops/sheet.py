"""Pictures side by side, to be looked at."""

from collections.abc import Sequence

import numpy as np
import pyvips
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["sheet"]

GAP, LINE = 4, 22  # pixels between pictures, and of a line of text


def sheet(rows: Sequence[Sequence[Tensor]], labels: Sequence[str] = (), gap: int = GAP) -> Tensor:
    """Lay out rows of pictures on white; smaller ones are centred in their column.

    Args:
        rows: pictures [3, H, W] in [0, 1].
        labels: a line of text above each column, as many as wanted.
        gap: pixels between pictures.

    Returns:
        [3, H, W] in [0, 1].
    """
    pictures = [[picture.cpu() for picture in row] for row in rows]
    columns = max(len(row) for row in pictures)
    widths = [max(row[i].shape[2] for row in pictures if i < len(row)) for i in range(columns)]
    lines = [
        _join([_centre(p, _height(row), widths[i]) for i, p in enumerate(row)], widths, gap)
        for row in pictures
    ]
    if labels:
        words = [
            _text(labels[i], width) if i < len(labels) else _blank(LINE, width)
            for i, width in enumerate(widths)
        ]
        lines.insert(0, _join(words, widths, gap))
    apart = [F.pad(line, (0, 0, gap if row else 0, 0), value=1.0) for row, line in enumerate(lines)]
    return torch.cat(apart, dim=1)


def _join(pictures: list[Tensor], widths: list[int], gap: int) -> Tensor:
    height = pictures[0].shape[1]
    pictures = pictures + [_blank(height, width) for width in widths[len(pictures) :]]
    apart = [F.pad(picture, (gap if i else 0, 0), value=1.0) for i, picture in enumerate(pictures)]
    return torch.cat(apart, dim=2)


def _height(row: list[Tensor]) -> int:
    return max(picture.shape[1] for picture in row)


def _centre(picture: Tensor, height: int, width: int) -> Tensor:
    down, right = height - picture.shape[1], width - picture.shape[2]
    return F.pad(picture, (right // 2, right - right // 2, down // 2, down - down // 2), value=1.0)


def _blank(height: int, width: int) -> Tensor:
    return torch.ones(3, height, width)


def _text(words: str, width: int) -> Tensor:
    """Black words on white, [3, LINE, width]; nothing where this system has no fonts."""
    try:
        image = pyvips.Image.text(_escaped(words), dpi=90, font="sans")
    except pyvips.Error:
        return _blank(LINE, width)
    ink = torch.from_numpy(np.array(image.numpy()))[:LINE, :width]
    strip = _blank(LINE, width)
    top = (LINE - ink.shape[0]) // 2
    strip[:, top : top + ink.shape[0], : ink.shape[1]] = 1 - ink / 255
    return strip


def _escaped(words: str) -> str:
    """Without what the text renderer would read as markup."""
    return words.replace("&", "&amp;").replace("<", "&lt;")
