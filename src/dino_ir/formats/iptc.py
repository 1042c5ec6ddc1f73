"""IPTC: captions and keywords, which a JPEG wraps in Photoshop's resources and a TIFF holds as they are."""

import struct
from collections.abc import Iterator

__all__ = ["unwrap", "wrap"]

_START = b"Photoshop 3.0\0"
_IPTC = 0x0404  # the number of the resource, in Adobe's list of them


def wrap(iptc: bytes) -> bytes:
    """Bring IPTC into the form of a JPEG's APP13 segment; what is already in it stays as it is."""
    if iptc.startswith(_START):
        return iptc
    return _START + b"8BIM" + struct.pack(">HHI", _IPTC, 0, len(iptc)) + iptc + bytes(len(iptc) % 2)


def unwrap(iptc: bytes) -> bytes | None:
    """Take IPTC out of a JPEG's APP13 segment; None if it holds none. What is plain stays as it is."""
    if not iptc.startswith(_START):
        return iptc
    return next((data for number, data in _resources(iptc) if number == _IPTC and data), None)


def _resources(content: bytes) -> Iterator[tuple[int, bytes]]:
    place = len(_START)
    while content[place : place + 4] == b"8BIM" and len(content) >= place + 12:
        (number,) = struct.unpack_from(">H", content, place + 4)
        place += 6 + (content[place + 6] // 2 + 1) * 2  # its name, with its length, fills pairs of bytes
        size = int.from_bytes(content[place : place + 4])
        yield number, content[place + 4 : place + 4 + size]
        place += 4 + size + size % 2
