"""EXIF: put right after a photo was turned upright, and carried between TIFFs and other files.

An EXIF block is a small TIFF without pixels (CIPA DC-008): directories of tags. libvips writes it
anew, and loses what it does not know, such as stars and makers' notes. So the block's own bytes are
kept, and put over a blank that libvips has written.
"""

import mmap
import secrets
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

__all__ = ["Tiff", "blank", "fill_blank", "into_tiff", "read_tiff", "resolution", "upright"]

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}  # of types
_UNITS = {**_SIZES, 5: 4, 10: 4}  # what is turned round as one where the order of bytes changes
_SHORT, _LONG, _RATIONAL, _UNDEFINED = 3, 4, 5, 7
_BITS, _PHOTOMETRIC, _ORIENTATION, _UNIT, _EXTRA, _IPTC, _DNG = 258, 262, 274, 296, 338, 33723, 50706
_LAB = 8  # of _PHOTOMETRIC
_RESOLUTIONS = (282, 283)
_STRIPS, _TILES = (273, 279), (324, 325)  # where each begins, and its bytes
_CAMERA, _WIDTH, _HEIGHT = 34665, 40962, 40963
_POINTERS = {_CAMERA, 34853, 40965}  # tags that lead to further directories: the camera's, the place's
_DESCRIPTIVE = {
    *(270, 271, 272, 305, 306, 315, 316, 18246, 18249, 33432, 40091, 40092, 40093, 40094, 40095, 50341),
    *(33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113),  # GeoTIFF's and GDAL's: where on earth it lies
}  # tags of a TIFF's first directory that tell of the photo, not of how its pixels lie
_MOST_READ = 1 << 22  # bytes of a TIFF's directories; lists of strips of large photos are among them
_MOST_RESOLUTION = 1e6  # pixels per millimetre that libvips takes
_SLACK = 160  # by so much, and a little more, libvips makes a blank longer


class _Entry(NamedTuple):
    kind: int
    data: bytes  # in the order of bytes of the whole
    place: int  # where they were


_Directory = dict[int, "_Entry | _Directory"]
_Fetch = Callable[[int, int], bytes]


class Tiff(NamedTuple):
    """What a TIFF file's first directory tells, and libvips does not."""

    exif: bytes | None  # its tags that an EXIF block can hold
    is_premultiplied: bool  # the colours are scaled by alpha; libvips divides them
    has_palette: bool
    refusal: str | None  # why libvips must not read it, as the end of a sentence


def upright(block: bytes, width: int, height: int) -> bytes:
    """The block of a photo that was turned upright: orientation 1, this size, and no thumbnail.

    Raises:
        ValueError: its first directory is damaged.
    """
    order, start = _header(block)
    tree, end = _read(_within(block), order, start)
    changed = bytearray(block)
    changed[end : end + 4] = bytes(len(changed[end : end + 4]))  # the next is the thumbnail's, as it was
    camera = tree.get(_CAMERA)
    sizes = [(camera, _WIDTH, width), (camera, _HEIGHT, height)] if isinstance(camera, dict) else []
    for directory, tag, value in [(tree, _ORIENTATION, 1), *sizes]:
        entry = directory.get(tag)
        if entry is None:
            continue
        if isinstance(entry, dict) or (entry.kind, len(entry.data)) not in ((_SHORT, 2), (_LONG, 4)):
            raise ValueError("a tag of another type than the standard's")
        largest = 0xFFFF if entry.kind == _SHORT else 0xFFFFFFFF
        struct.pack_into(f"{order}{'HI'[entry.kind - _SHORT]}", changed, entry.place, min(value, largest))
    return bytes(changed)


def resolution(block: bytes) -> tuple[float, float] | None:
    """Pixels per millimetre, horizontal and vertical, if the block tells.

    Raises:
        ValueError: its first directory is damaged.
    """
    order, start = _header(block)
    tree, _end = _read(_within(block), order, start)
    sides: list[float] = []
    for entry in (tree.get(tag) for tag in _RESOLUTIONS):
        if isinstance(entry, _Entry) and (entry.kind, len(entry.data)) == (_RATIONAL, 8):
            above, below = struct.unpack(f"{order}II", entry.data)
            sides.append(above / max(below, 1) / (10 if _short(tree, _UNIT, order) == 3 else 25.4))
    is_sound = len(sides) == 2 and all(0 < side < _MOST_RESOLUTION for side in sides)
    return (sides[0], sides[1]) if is_sound else None


def read_tiff(file: BinaryIO) -> Tiff | None:
    """Read the first directory of a TIFF file; None if it is no TIFF, or a BigTIFF.

    Makers' notes are moved, so those that tell places within the file lose their way.
    """
    left = _MOST_READ

    def fetch(place: int, length: int) -> bytes:
        nonlocal left
        left -= length
        file.seek(place)
        if left < 0 or len(data := file.read(length)) < length:
            raise ValueError("beyond the end")
        return data

    try:
        order, start = _header(fetch(0, 8))
        tree, _end = _read(fetch, order, start)
    except ValueError:
        return None
    kept = {tag: tree[tag] for tag in tree.keys() & (_DESCRIPTIVE | _POINTERS)}
    start_of_block = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8)
    return Tiff(
        exif=start_of_block + _pack(kept, order, 8) if kept else None,
        is_premultiplied=_short(tree, _EXTRA, order) == 1,
        has_palette=_short(tree, _PHOTOMETRIC, order) == 3,
        refusal=_refusal(tree, order, file.seek(0, 2)),
    )


def into_tiff(path: Path, block: bytes | None, iptc: bytes | None) -> None:
    """Add a block's tags, and IPTC, to a TIFF file of one page.

    Its directory is written anew at the end; nothing else moves.

    Raises:
        ValueError: the block is damaged.
    """
    with path.open("r+b") as file:
        with mmap.mmap(file.fileno(), 0) as content:
            order, start = _header(content)
            tree, _end = _read(_within(content), order, start)
        if block:
            order_of_block, start = _header(block)
            added, _end = _read(_within(block), order_of_block, start)
            for tag in added.keys() & (_DESCRIPTIVE | _POINTERS):
                tree[tag] = added[tag] if order == order_of_block else _turned(added[tag])
        if iptc:
            tree[_IPTC] = _Entry(_UNDEFINED, iptc, 0)
        end = file.seek(0, 2)
        end += file.write(bytes(end % 2))
        file.write(_pack(tree, order, end))
        file.seek(4)
        file.write(struct.pack(f"{order}I", end))


def blank(block: bytes) -> tuple[bytes, bytes]:
    """A block for libvips to write, which comes out at least as long as `block`; and how to find it."""
    token = secrets.token_bytes(24)
    comment = b"ASCII\0\0\0" + token + bytes(max(len(block) - _SLACK, 0))
    camera = struct.pack("<HHHIII", 1, 37510, _UNDEFINED, len(comment), 44, 0)
    first = struct.pack("<IHHHIII", 8, 1, _CAMERA, _LONG, 1, 26, 0)
    return b"Exif\0\0II*\0" + first + camera + comment, token


def fill_blank(path: Path, block: bytes, token: bytes) -> bool:
    """Put a block over the blank in a JPEG, PNG, WebP or AVIF file; whether it was there and long enough."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        found = content.find(token)
        start = content.rfind(b"II*\0\x08\0\0\0", 0, max(found, 0))
        end = found + len(token) + max(len(block) - _SLACK, 0)
        if found < 0 or start < 0 or end - start < len(block):
            return False
        content[start:end] = block.ljust(end - start, b"\0")
        if content[start - 4 : start] == b"eXIf":  # a PNG's chunk ends with a sum over it
            content[end : end + 4] = zlib.crc32(content[start - 4 : end]).to_bytes(4)
    return True


def _header(content: bytes | mmap.mmap) -> tuple[str, int]:
    """The order of bytes, as `struct` writes it, and where the first directory lies."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(content[:4]))
    if order is None or len(content) < 8:
        raise ValueError("no directory of tags")
    return order, cast(int, struct.unpack(f"{order}I", content[4:8])[0])


def _within(content: bytes | mmap.mmap) -> _Fetch:
    left = 2 * len(content)  # no part is read twice, unless a file was made to exhaust memory

    def fetch(place: int, length: int) -> bytes:
        nonlocal left
        left -= length
        if left < 0 or place + length > len(content):
            raise ValueError("beyond the end")
        return content[place : place + length]

    return fetch


def _read(fetch: _Fetch, order: str, start: int, depth: int = 0) -> tuple[_Directory, int]:
    """A directory, with those it leads to, and where it ends; entries that lead nowhere are left out."""
    (count,) = struct.unpack(f"{order}H", fetch(start, 2))
    table = fetch(start + 2, 12 * count)
    directory: _Directory = {}
    for index in range(count):
        tag, kind, number, value = struct.unpack_from(f"{order}HHII", table, 12 * index)
        size = _SIZES.get(kind, 0) * number
        place = value if size > 4 else start + 2 + 12 * index + 8
        try:
            if tag in _POINTERS and depth < 2:
                directory[tag], _end = _read(fetch, order, value, depth + 1)
            elif tag not in _POINTERS and size:
                directory[tag] = _Entry(kind, fetch(place, size), place)
        except ValueError:
            continue
    return directory, start + 2 + 12 * count


def _short(directory: _Directory, tag: int, order: str) -> int | None:
    """The first number of a tag of the type SHORT."""
    entry = directory.get(tag)
    if not isinstance(entry, _Entry) or entry.kind != _SHORT:
        return None
    return cast(int, struct.unpack_from(f"{order}H", entry.data)[0])


def _refusal(directory: _Directory, order: str, size: int) -> str | None:
    if _DNG in directory:  # its first page is a thumbnail
        return "is a DNG, a camera's raw file; develop it to TIFF or JPEG first"
    if _end_of_pixels(directory, order) > size:  # libvips would make some of them black
        return "is cut short"
    is_lab = _short(directory, _PHOTOMETRIC, order) == _LAB
    if is_lab and _short(directory, _BITS, order) == 8:  # of which libvips makes what it cannot convert
        return "is a Lab TIFF of 8 bits; save it as RGB or 16 bits"
    return None


def _end_of_pixels(directory: _Directory, order: str) -> int:
    ends = [0]
    for tags in (_STRIPS, _TILES):
        entries = [directory.get(tag) for tag in tags]
        starts, sizes = (
            struct.unpack(
                f"{order}{len(entry.data) // _SIZES[entry.kind]}{'HI'[entry.kind - _SHORT]}", entry.data
            )
            if isinstance(entry, _Entry) and entry.kind in (_SHORT, _LONG)
            else ()
            for entry in entries
        )
        ends += [start + size for start, size in zip(starts, sizes)]
    return max(ends)


def _pack(directory: _Directory, order: str, start: int) -> bytes:
    """A directory, with those it leads to, as it lies from `start` on."""
    table, heap = b"", b""
    for tag in sorted(directory):
        entry = directory[tag]
        place = start + 2 + 12 * len(directory) + 4 + len(heap)
        value = struct.pack(f"{order}I", place)
        if isinstance(entry, dict):
            kind, count, data = _LONG, 1, _pack(entry, order, place)
        else:
            kind, count, data = entry.kind, len(entry.data) // _SIZES[entry.kind], entry.data
            if len(data) <= 4:
                value, data = data.ljust(4, b"\0"), b""
        table += struct.pack(f"{order}HHI", tag, kind, count) + value
        heap += data + bytes(len(data) % 2)
    return struct.pack(f"{order}H", len(directory)) + table + bytes(4) + heap


def _turned(entry: "_Entry | _Directory") -> "_Entry | _Directory":
    """The same in the other order of bytes."""
    if isinstance(entry, dict):
        return {tag: _turned(below) for tag, below in entry.items()}
    unit = _UNITS[entry.kind]
    pieces = (entry.data[start : start + unit][::-1] for start in range(0, len(entry.data), unit))
    return entry._replace(data=b"".join(pieces))
