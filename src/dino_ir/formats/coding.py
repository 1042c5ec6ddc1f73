"""How libvips is told to write each kind of file: how many bits, what quality, what has a place in it."""

import struct
from pathlib import Path
from typing import Any, Literal

__all__ = ["Bits", "add_segments", "kind_of", "longest", "most_bits", "saving", "take_segments"]

Bits = Literal[8, 10, 12, 16, 32]
"""Of one number: 10 and 12 are those of deep AVIFs, 32 are floats."""

_KINDS = {
    ".avif": "AVIF",
    **dict.fromkeys((".jfif", ".jpe", ".jpeg", ".jpg"), "JPEG"),
    ".png": "PNG",
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    ".webp": "WebP",
}
_BITS: dict[str, tuple[Bits, ...]] = {
    "AVIF": (8, 10, 12),
    "JPEG": (8,),
    "PNG": (8, 16),
    "TIFF": (8, 16, 32),
    "WebP": (8,),
}
_EXIF = {"exif-data": 65000}  # bytes: a JPEG's segment ends at 65533, and libvips writes around a block
_LONGEST = {  # where all of a field must fit into one segment or the like, with what stands before it
    **dict.fromkeys(("AVIF", "PNG", "WebP"), _EXIF),
    "JPEG": {**_EXIF, "xmp-data": 65504, "iptc-data": 65533},
}
_MOST_COUNTED = 4_000_000  # pixels of a JPEG whose code is fitted to it: libjpeg then holds all of them
_SEGMENTS = (("xmp-data", b"\xff\xe1", b"http://ns.adobe.com/xap/1.0/\0"), ("iptc-data", b"\xff\xed", b""))
_INDEX = b"MPF\0"  # of further pictures, such as a gain map, by how far behind it they begin
_UNKNOWN = (1.0, 72 / 25.4)  # pixels per millimetre that libvips takes for granted
_GOOD = 95  # quality of a JPEG from a file without loss: more costs bytes that nobody sees


def kind_of(suffix: str) -> str:
    """The kind of file a suffix stands for, such as "JPEG"; it is one that can be written."""
    return _KINDS[suffix.lower()]


def most_bits(kind: str, wanted: Bits) -> Bits:
    """The fewest bits of a kind of file that hold as many as wanted, or the most it has."""
    for bits in _BITS[kind]:
        if bits >= wanted:
            return bits
    return _BITS[kind][-1]


def longest(kind: str) -> dict[str, int]:
    """The most bytes that some of libvips' fields may have in a kind of file."""
    return _LONGEST.get(kind, {})


def saving(
    kind: str, bits: Bits, quality: int | None, is_subsampled: bool, pixels: int = 0
) -> dict[str, Any]:
    """Options of libvips' savers. A quality of None or 100 is without loss, where the kind has that."""
    is_lossless = quality in (None, 100)
    if kind == "JPEG":
        return {
            "Q": quality or _GOOD,
            "subsample_mode": "on" if is_subsampled else "off",
            "optimize_coding": pixels <= _MOST_COUNTED,
        }
    if kind == "WebP":  # exact: also where alpha is 0
        return {"lossless": True, "exact": True} if is_lossless else {"Q": quality, "exact": True}
    if kind == "AVIF":
        return {"compression": "av1", "bitdepth": bits} | (
            {"lossless": True} if is_lossless else {"Q": quality, "subsample_mode": "off"}
        )
    if kind == "TIFF":
        return {"compression": "deflate", "predictor": "float" if bits == 32 else "horizontal"}
    return {}


def take_segments(fields: dict[str, Any]) -> bytes:
    """A JPEG's segments of XMP and IPTC, taken out of libvips' fields.

    libvips leaves both out beside a gain map, and XMP of more than 60,000 bytes everywhere.
    """
    contents = [(mark, start, fields.pop(name, None)) for name, mark, start in _SEGMENTS]
    return b"".join(
        mark + struct.pack(">H", 2 + len(start + content)) + start + content
        for mark, start, content in contents
        if content
    )


def add_segments(jpeg: Path, resolution: tuple[float, float], metadata: bytes = b"") -> None:
    """Add segments that libvips leaves out: JFIF's, of pixels per millimetre, and others, behind its own."""
    densities = [round(side * 25.4) for side in resolution]
    is_told = all(abs(resolution[0] - side) > 0.01 for side in _UNKNOWN)
    is_told = is_told and all(0 < density < 1 << 16 for density in densities)
    if not (is_told or metadata):
        return
    inches, first = 1, b""
    if is_told:
        first = b"\xff\xe0" + struct.pack(">H5sHBHHBB", 16, b"JFIF\0", 0x0102, inches, *densities, 0, 0)
    content = jpeg.read_bytes()
    end = 2
    while content[end + 1] & 0xF0 == 0xE0 and content[end + 4 : end + 8] != _INDEX:
        end += 2 + int.from_bytes(content[end + 2 : end + 4])
    jpeg.write_bytes(content[:2] + first + content[2:end] + metadata + content[end:])
