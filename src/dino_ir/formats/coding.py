"""How libvips is told to write each kind of file: how many bits, what quality, what has a place in it."""

import struct
from pathlib import Path
from typing import Any, Literal

__all__ = ["Bits", "add_resolution", "kind_of", "most_bits", "saving"]

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


def saving(kind: str, bits: Bits, quality: int | None, is_subsampled: bool) -> dict[str, Any]:
    """Options of libvips' savers. A quality of None or 100 is without loss, where the kind has that."""
    is_lossless = quality in (None, 100)
    if kind == "JPEG":
        return {
            "Q": quality or _GOOD,
            "subsample_mode": "on" if is_subsampled else "off",
            "optimize_coding": True,
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


def add_resolution(jpeg: Path, resolution: tuple[float, float]) -> None:
    """Add the segment of JFIF that tells a JPEG's pixels per millimetre, which libvips leaves out."""
    densities = [round(side * 25.4) for side in resolution]
    is_told = all(abs(resolution[0] - side) > 0.01 for side in _UNKNOWN)
    if not (is_told and all(0 < density < 1 << 16 for density in densities)):
        return
    content = jpeg.read_bytes()
    inches = 1
    segment = b"\xff\xe0" + struct.pack(">H5sHBHHBB", 16, b"JFIF\0", 0x0102, inches, *densities, 0, 0)
    jpeg.write_bytes(content[:2] + segment + content[2:])
