"""Pixels on disk: an image too large for memory, written and read in pieces."""

import struct
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyvips
from numpy.typing import NDArray

__all__ = ["Scratch"]

_TYPES: dict[str, Any] = {"uchar": np.uint8, "ushort": np.uint16, "float": np.float32}
_ROWS = 64  # of an image that is copied, at a time
_HEAD = 512  # bytes before the pixels


class Scratch:
    """A file without a name, which is gone when the process is, whatever ends it.

    It is an uncompressed TIFF, so that libvips can read it from top to bottom.

    Args:
        folder: on whose disk it lies.

    Raises:
        OSError: the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 closed by __exit__
        self._shape = (0, 0, 0)
        self._type = np.dtype(np.uint8)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self._shape[:2]

    def put(self, piece: pyvips.Image, top: int, left: int, size: tuple[int, int]) -> None:
        """Write a piece to where it belongs in the whole, of this height and width.

        Raises:
            OSError: the disk is full.
        """
        number: np.dtype[Any] = np.dtype(_TYPES[str(piece.format)])
        if (self._shape, self._type) != ((*size, piece.bands), number):
            self._begin((*size, piece.bands), number)
        content = memoryview(piece.write_to_memory()).cast("B")
        rows = 1 if piece.width == size[1] else piece.height  # whole ones lie side by side
        length = len(content) // rows
        for row in range(rows):
            self._file.seek(self._place(top + row, left))
            self._file.write(content[row * length : (row + 1) * length])

    def get(self, top: int, left: int, bottom: int, right: int) -> NDArray[Any]:
        """Read a piece, [h, w, bands]."""
        shape = (bottom - top, right - left, self._shape[2])
        piece: NDArray[Any] = np.empty(shape, self._type)
        is_whole = shape[1] == self._shape[1]
        for row, content in enumerate(piece.reshape(1, -1) if is_whole else piece):
            self._file.seek(self._place(top + row, left))
            self._file.readinto(content.data.cast("B"))
        return piece

    def keep(self, image: pyvips.Image) -> None:
        """Hold an image that can be read only once, from the top; turned upright as its field says.

        Raises:
            pyvips.Error: it is damaged.
            OSError: the disk is full.
        """
        upright = image.autorot()  # only its size is asked for: it cannot be read in this order
        orientation = image.get("orientation") if image.get_typeof("orientation") else 1
        region = pyvips.Region.new(image)  # one for all rows, as each new one would start from the top
        for start in range(0, image.height, _ROWS):
            rows = min(_ROWS, image.height - start)
            content = region.fetch(0, start, image.width, rows)
            strip = pyvips.Image.new_from_memory(content, image.width, rows, image.bands, str(image.format))
            strip = strip.copy()
            strip.set_type(pyvips.GValue.gint_type, "orientation", orientation)
            strip = strip.autorot()
            before = start if orientation not in (3, 4, 6, 7) else image.height - start - rows
            top, left = (0, before) if orientation in (5, 6, 7, 8) else (before, 0)
            self.put(strip, top, left, (upright.height, upright.width))

    def image(self) -> pyvips.Image:
        """What is held, to be read once, from the top."""
        self._file.flush()
        self._file.seek(0)
        source = pyvips.Source.new_from_descriptor(self._file.fileno())
        image = pyvips.Image.new_from_source(source, "", access="sequential").copy()
        for name in image.get_fields():
            image.remove(name)  # what the TIFF says of itself
        return image

    def _begin(self, shape: tuple[int, int, int], number: np.dtype[Any]) -> None:
        self._shape, self._type = shape, number
        self._file.seek(0)
        self._file.truncate()
        self._file.write(_head(shape, number))
        self._file.truncate(_HEAD + shape[0] * self._line)

    @property
    def _line(self) -> int:
        return self._shape[1] * self._shape[2] * self._type.itemsize

    def _place(self, row: int, column: int) -> int:
        return _HEAD + row * self._line + column * self._shape[2] * self._type.itemsize


def _head(shape: tuple[int, int, int], number: np.dtype[Any]) -> bytes:
    """A BigTIFF's directory: one strip of plain numbers, which begins where this ends."""
    height, width, bands = shape
    short, long, longest = "H", "I", "Q"
    kinds = {short: 3, long: 4, longest: 16}
    tags: list[tuple[int, str, list[int]]] = [
        (256, long, [width]),
        (257, long, [height]),
        (258, short, [8 * number.itemsize] * bands),
        (259, short, [1]),  # not compressed
        (262, short, [2 if bands > 2 else 1]),  # RGB or grey
        (273, longest, [_HEAD]),
        (277, short, [bands]),
        (278, long, [height]),
        (279, longest, [height * width * bands * number.itemsize]),
        (284, short, [1]),  # the bands of a pixel lie together
        *([(338, short, [2])] if bands in (2, 4) else []),  # alpha, by which colours are not scaled
        (339, short, [3 if number.kind == "f" else 1] * bands),
    ]
    head = struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, len(tags))
    for tag, kind, values in tags:
        content = struct.pack(f"<{len(values)}{kind}", *values)
        head += struct.pack("<HHQ", tag, kinds[kind], len(values)) + content.ljust(8, b"\0")
    return head.ljust(_HEAD, b"\0")
