"""Image files in and out, by libvips: 8 and 16 bits, ICC profiles and EXIF survive the way.

libvips keeps threads. A process that has read an image here must start its workers by `spawn`:
a forked one would wait for threads that it does not have.
"""

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import pyvips
import torch
from torch import Tensor

from dino_ir.errors import DataError, ImageError

__all__ = [
    "IMAGE_SUFFIXES",
    "Metadata",
    "Photo",
    "list_images",
    "name_images",
    "read_photo",
    "read_rgb",
    "write_photo",
]

Bits = Literal[8, 16, 32]
Metadata = Mapping[str, bytes | str | int]
"""libvips' fields by name, such as `exif-data` and `icc-profile-data`."""

_MOST_BITS: Mapping[str, Bits] = {".jpeg": 8, ".jpg": 8, ".png": 16, ".tif": 32, ".tiff": 32, ".webp": 8}

IMAGE_SUFFIXES = tuple(_MOST_BITS)
"""The kinds of file that are listed in folders and can be written; in files' names, case is ignored."""

_BITS: Mapping[str, Bits] = {"uchar": 8, "ushort": 16, "float": 32}  # of one number in libvips' formats
_FORMATS = {bits: name for name, bits in _BITS.items()}
_NUMBERS = {"uchar": np.uint8, "ushort": np.uint16, "float": np.float32}
_SPACES = {
    (False, 8): "srgb",
    (False, 16): "rgb16",
    (False, 32): "scrgb",
    (True, 8): "b-w",
    (True, 16): "grey16",
    (True, 32): "b-w",
}
_FIELD_TYPES = {
    bytes: pyvips.GValue.blob_type,
    str: pyvips.GValue.gstr_type,
    int: pyvips.GValue.gint_type,
}
_PLAIN_SPACES = {"srgb", "rgb", "rgb16", "scrgb", "b-w", "grey16", "multiband"}
_KEPT = re.compile(r"(exif|xmp|iptc|icc-profile)-data|exif-ifd.*|resolution-unit")
_XMP_ORIENTATION = re.compile(rb"""(tiff:Orientation(?:>|\s*=\s*["']))[1-8]""")


class Photo(NamedTuple):
    """A photo and all that must be written back with it."""

    pixels: Tensor  # [3, H, W], or [1, H, W] where the file is grey; in the colours of its ICC profile
    bits: Bits = 8  # of one number in the file: 8, 16, or 32 for floats
    alpha: Tensor | None = None  # [1, H, W] in [0, 1]
    metadata: Metadata = MappingProxyType({})  # orientation is already applied, and its tag is 1
    resolution: tuple[float, float] = (1.0, 1.0)  # pixels per millimetre, horizontal and vertical

    @property
    def is_grey(self) -> bool:
        """Whether the file has one channel besides alpha."""
        return self.pixels.shape[0] == 1


def list_images(folder: Path | str) -> list[Path]:
    """Find the images in a folder and in the folders below it, sorted; what is hidden is left out.

    Hidden are files and folders whose names start with a dot, such as a viewer's `.thumbs/`.

    Raises:
        ImageError: no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ImageError(f"{folder} is not a folder")
    found = (path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    return sorted(path for path in found if not _is_hidden(path.relative_to(folder)) and path.is_file())


def name_images(folder: Path) -> dict[str, Path]:
    """The images in a folder and in those below it by name: their way from the folder, without suffix.

    Raises:
        DataError: no such folder, or two images of one name.
    """
    if not folder.is_dir():
        raise DataError(f"no folder {folder}: --data DIR or DINO_IR_DATA is what roots are relative to")
    named: dict[str, Path] = {}
    for path in list_images(folder):
        other = named.setdefault(path.relative_to(folder).with_suffix("").as_posix(), path)
        if other is not path:
            raise DataError(f"{other} and {path.name} have one name: keep one, or rename one")
    return named


def read_rgb(path: Path | str) -> Tensor:
    """Read any image as [3, H, W], uint8, upright; grey is repeated, alpha dropped.

    An RGB file's numbers stay as they are, whatever its profile says: published scores are
    computed that way.

    Raises:
        ImageError: missing, empty, cut short, or not an image.
    """
    image = _upright(Path(path))
    try:
        if image.format == "float":
            image = (image * 255).rint().copy(interpretation="srgb" if image.bands > 2 else "b-w")
        image = image.colourspace("srgb").cast("uchar")
        image = image[:3] if image.bands > 3 else image
        return _planes(image)
    except pyvips.Error as problem:
        raise ImageError(f"{path} has colours that cannot be turned into RGB: {_reason(problem)}") from None


def read_photo(path: Path | str) -> Photo:
    """Read a photo upright, with its bit depth, alpha and metadata.

    CMYK and other colour models become sRGB, a palette becomes its colours, and of several pages
    or frames the first is read.

    Raises:
        ImageError: missing, empty, cut short, not an image, or of a kind that cannot be kept.
    """
    image = _upright(Path(path))
    metadata = _metadata(image)
    if image.interpretation not in _PLAIN_SPACES:
        image = image.colourspace("srgb")
        metadata.pop("icc-profile-data", None)  # it describes the colours that were left behind
    if image.format == "double":
        image = image.cast("float")
    if image.format not in _BITS or image.bands > 4:
        kind = f"{image.bands} channels of type {image.format}"
        raise ImageError(f"{path} has {kind}; expected 1 to 4 of 8 bits, 16 bits or floats")
    bits = _BITS[str(image.format)]
    pixels = _planes(image).float() / (2**bits - 1 if bits < 32 else 1)
    if bits == 32 and not (pixels.min() >= 0 and pixels.max() <= 1):
        raise ImageError(f"{path} has floats outside [0, 1]; scale them into that range first")
    if image.bands in (1, 3):
        return Photo(pixels, bits, None, metadata, (image.xres, image.yres))
    return Photo(pixels[:-1], bits, pixels[-1:], metadata, (image.xres, image.yres))


def write_photo(path: Path | str, photo: Photo, quality: int = 95) -> None:
    """Write a photo in the kind of file its name says; half a file is never left under that name.

    Keeps as many of the photo's bits as that kind of file can hold. PNG, WebP and TIFF lose nothing.

    Args:
        path: where to; its suffix is one of `IMAGE_SUFFIXES`, its folder exists.
        photo: what to write; values outside [0, 1] are clipped.
        quality: of a JPEG, 1 to 100. Its colour is not subsampled.

    Raises:
        ImageError: an unknown suffix, alpha in a JPEG, or a folder that cannot be written to.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        raise ImageError(f"cannot write {path}; its name must end in one of: {', '.join(IMAGE_SUFFIXES)}")
    if photo.alpha is not None and suffix in (".jpg", ".jpeg"):
        raise ImageError(f"cannot write {path}: a JPEG has no alpha; use .png, .tif or .webp")
    bits = photo.bits if photo.bits < _MOST_BITS[suffix] else _MOST_BITS[suffix]
    image = _image(photo, bits)
    unfinished = path.with_name(f".{secrets.token_hex(8)}{suffix}")
    try:
        image.write_to_file(str(unfinished), **_saving(suffix, bits, quality))
        os.replace(unfinished, path)
    except (pyvips.Error, OSError) as problem:
        raise ImageError(f"cannot write {path}: {_reason(problem)}") from None
    finally:
        unfinished.unlink(missing_ok=True)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _upright(path: Path) -> pyvips.Image:
    if path.is_dir():
        raise ImageError(f"{path} is a folder, not an image")
    if not path.exists():
        raise ImageError(f"{path} does not exist")
    if path.stat().st_size == 0:
        raise ImageError(f"{path} is empty")
    try:
        # Sequential access is never taken from libvips' cache, so a file that changed is read anew.
        image = pyvips.Image.new_from_file(str(path), access="sequential", fail_on="truncated")
    except pyvips.Error:
        raise ImageError(f"{path} is not an image that can be read") from None
    try:
        return image.copy_memory().autorot()
    except pyvips.Error as problem:
        raise ImageError(f"{path} is damaged or cut short: {_reason(problem)}") from None


def _metadata(image: pyvips.Image) -> dict[str, bytes | str | int]:
    names = [name for name in image.get_fields() if _KEPT.fullmatch(name)]
    kept = {name: cast(bytes | str | int, image.get(name)) for name in names}
    if isinstance(packet := kept.get("xmp-data"), bytes):
        kept["xmp-data"] = _XMP_ORIENTATION.sub(rb"\g<1>1", packet)
    if "exif-data" in kept:
        kept["orientation"] = 1
    return kept


def _planes(image: pyvips.Image) -> Tensor:
    """[C, H, W] in the image's own type of number."""
    values = np.frombuffer(image.write_to_memory(), _NUMBERS[str(image.format)])
    return torch.from_numpy(values.reshape(image.height, image.width, image.bands).transpose(2, 0, 1).copy())


def _image(photo: Photo, bits: Bits) -> pyvips.Image:
    planes = [photo.pixels] if photo.alpha is None else [photo.pixels, photo.alpha]
    values = torch.cat(planes).detach().cpu().float().clamp(0, 1).movedim(0, 2)
    if bits < 32:
        values = (values * (2**bits - 1)).round()
    height, width, bands = values.shape
    array = values.numpy().astype(_NUMBERS[_FORMATS[bits]])
    image = pyvips.Image.new_from_memory(array.tobytes(), width, height, bands, _FORMATS[bits])
    xres, yres = photo.resolution
    image = image.copy(interpretation=_SPACES[photo.is_grey, bits], xres=xres, yres=yres)
    for name, value in photo.metadata.items():
        image.set_type(_FIELD_TYPES[type(value)], name, cast(Any, value))  # its stub leaves out bytes
    return image


def _saving(suffix: str, bits: Bits, quality: int) -> dict[str, Any]:
    if suffix in (".jpg", ".jpeg"):
        return {"Q": quality, "subsample_mode": "off", "optimize_coding": True}
    if suffix == ".webp":
        return {"lossless": True, "exact": True}  # exact: also where alpha is 0
    if suffix == ".png":
        return {}
    return {"compression": "deflate", "predictor": "float" if bits == 32 else "horizontal"}


def _reason(problem: Exception) -> str:
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return lines[-1] if lines else type(problem).__name__
