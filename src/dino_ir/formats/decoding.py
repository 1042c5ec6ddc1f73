"""Files decoded by libvips into plain numbers, wherever those are to be kept: in memory, or on disk."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import pyvips
from torch import Tensor

from dino_ir.errors import ImageError

__all__ = ["Keep", "decode", "plain", "scaled", "size_of", "with_fields"]

Keep = Callable[[pyvips.Image], pyvips.Image]
"""Reads all of an image, which can be read only once and from the top, and gives one with its fields."""

_Failure = (pyvips.Error, UnicodeDecodeError)  # pyvips raises the latter where it quotes a damaged file
_PLAIN_SPACES = {"srgb", "rgb", "rgb16", "scrgb", "b-w", "grey16", "multiband"}
_LOADERS = {"gifload", "heifload", "jpegload", "pngload", "tiffload", "uhdrload", "webpload"}


def decode(
    path: Path, file: BinaryIO, max_pixels: float, keep: Keep = pyvips.Image.copy_memory
) -> tuple[pyvips.Image, tuple[str, ...]]:
    """Decode a file, as it lies there. And say if that cannot be all that was in it.

    Args:
        path: what to call it in a message.
        file: what to read.
        max_pixels: a file of more is refused by its header.
        keep: reads the pixels; again from the start, if they turn out to be damaged.

    Raises:
        ImageError: it has more than `max_pixels`, or is no photo.
        pyvips.Error: it cannot be decoded, or is cut short.
    """
    file.seek(0)
    strict = "warning" if file.read(2) == b"\xff\xd8" else "error"  # a TIFF has harmless warnings
    try:
        return keep(_open(path, file, max_pixels, strict)), ()
    except _Failure:
        image = keep(_open(path, file, max_pixels, "truncated"))
        return image, ("it is damaged and was read as far as it goes",)


def size_of(path: Path) -> tuple[int, int] | None:
    """Height and width, before it is turned upright, as a file's header tells them; None if it does not."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            image = _open(path, file, float("inf"), "none")
    except (*_Failure, ImageError, OSError):
        return None
    return image.height, image.width


def plain(path: Path, image: pyvips.Image) -> tuple[pyvips.Image, Literal[8, 10, 12, 16, 32]]:
    """The image in grey or RGB, with alpha or not, and of how many bits its numbers are; 32 are floats.

    Raises:
        ImageError: of numbers that no photo has.
        pyvips.Error: its colours cannot be converted.
    """
    if image.interpretation not in _PLAIN_SPACES:
        image = image.colourspace("srgb" if image.format == "uchar" else "rgb16")
    if image.format not in ("uchar", "ushort", "float") or image.bands > 4:
        kind = f"{image.bands} channels of type {image.format}"
        raise ImageError(f"{path} has {kind}; expected 1 to 4 of 8 bits, 16 bits or floats")
    if image.format != "ushort":
        return image, 8 if image.format == "uchar" else 32
    if not str(image.get("vips-loader")).startswith("heif"):
        return image, 16
    bits: Any = image.get("bits-per-sample")  # which libvips shifts up to 16
    return image >> (16 - bits), bits


def scaled(path: Path, numbers: Tensor, bits: int) -> Tensor:
    """Numbers as they lie in a file, brought to floats in [0, 1].

    Raises:
        ImageError: they are floats, and lie elsewhere.
    """
    if bits < 32:
        return numbers / (2**bits - 1)
    if not (numbers.min() >= 0 and numbers.max() <= 1):
        raise ImageError(f"{path} has floats outside [0, 1]; scale them into that range first")
    return numbers


def with_fields(image: pyvips.Image, other: pyvips.Image) -> pyvips.Image:
    """The image with the fields, the kind of colours and the resolution of another."""
    image = image.copy(interpretation=other.interpretation, xres=other.xres, yres=other.yres)
    for name in set(other.get_fields()).difference(image.get_fields()):
        try:
            value: Any = other.get(name)
        except UnicodeDecodeError:
            continue
        image.set_type(cast(Any, other.get_typeof(name)), name, value)
    return image


def _open(path: Path, file: BinaryIO, max_pixels: float, fail_on: str) -> pyvips.Image:
    file.seek(0)
    # By its descriptor, a file may have any name. Sequential access is never taken from libvips'
    # cache, so a file that changed is read anew.
    source = pyvips.Source.new_from_descriptor(file.fileno())
    image = pyvips.Image.new_from_source(source, "", access="sequential", fail_on=fail_on)
    if str(image.get("vips-loader")).removesuffix("_source") not in _LOADERS:
        raise ImageError(f"{path} is not a photo; save it as PNG or TIFF first")
    if image.width * image.height > max_pixels:
        size = f"{image.width} x {image.height} pixels"
        raise ImageError(f"{path} has {size}, more than --max-pixels {max_pixels:.0f}; raise it to read them")
    return image
