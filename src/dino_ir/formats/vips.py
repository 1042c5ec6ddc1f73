"""libvips' images from tensors and back, its fields, and what it says when it fails."""

import atexit
import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyvips
import torch
from torch import Tensor

__all__ = [
    "Failure",
    "Fields",
    "encode",
    "from_planes",
    "profile_of_display_p3",
    "read_fields",
    "reason",
    "to_planes",
    "turn",
]

Fields = Mapping[str, bytes | str | int | float | list[float]]
"""libvips' fields by name, such as `exif-data` and `icc-profile-data`."""

_EVERY_LEVEL = 0b11111111  # of GLib's messages

Failure = (pyvips.Error, UnicodeDecodeError)
"""What libvips raises, and what pyvips raises where libvips quotes from a damaged file."""

_NUMBERS = {"uchar": np.uint8, "ushort": np.uint16, "float": np.float32}
_SPACES = {
    (True, "uchar"): "b-w",
    (True, "ushort"): "grey16",
    (True, "float"): "b-w",
    (False, "uchar"): "srgb",
    (False, "ushort"): "rgb16",
    (False, "float"): "scrgb",
}
_FIELD_TYPES = {
    bytes: pyvips.GValue.blob_type,
    str: pyvips.GValue.gstr_type,
    int: pyvips.GValue.gint_type,
    float: pyvips.GValue.gdouble_type,
    list: pyvips.GValue.array_double_type,
}


@pyvips.ffi.callback("GLogFunc")
def _log(_domain: Any, _level: int, message: Any, _data: Any) -> None:
    logging.getLogger(__name__).debug(pyvips.ffi.string(message).decode(errors="replace"))


# Damaged files make GLib complain on the terminal, of numbers out of range; and pyvips' own way to
# hear libvips complains there of what it quotes, where that is not UTF-8.
for _domain in (b"GLib-GObject", b"VIPS"):
    _handler = pyvips.glib_lib.g_log_set_handler(_domain, _EVERY_LEVEL, _log, pyvips.ffi.NULL)
    atexit.register(pyvips.glib_lib.g_log_remove_handler, _domain, _handler)


def encode(image: pyvips.Image, path: Path, options: Mapping[str, Any]) -> None:
    """Write a new file of the kind that its name says.

    Raises:
        pyvips.Error: the kind cannot hold it, or the disk is full.
        OSError: the folder cannot be written to.
    """
    with path.open("x+b") as file:
        image.write_to_target(pyvips.Target.new_to_descriptor(file.fileno()), path.suffix, **options)


def to_planes(image: pyvips.Image) -> Tensor:
    """[C, H, W] in the image's own type of number: 8 bits, 16 bits or floats."""
    values = np.frombuffer(image.write_to_memory(), _NUMBERS[str(image.format)])
    return torch.from_numpy(values.reshape(image.height, image.width, image.bands).transpose(2, 0, 1).copy())


def from_planes(values: Tensor, bits: int, fields: Fields) -> pyvips.Image:
    """An image of values in [0, 1], which are clipped.

    Args:
        values: [C, H, W], where C is 1 or 3, and one more with alpha.
        bits: of one number; 32 are floats, and 10 and 12 fill the upper ones of 16.
        fields: what the image carries besides.
    """
    values = values.detach().cpu().float().clamp(0, 1).movedim(0, 2)
    if bits < 32:
        values = (values * (2**bits - 1)).round()
    if 8 < bits < 16:
        values = values * 2 ** (16 - bits)
    name = "uchar" if bits == 8 else "ushort" if bits < 32 else "float"
    height, width, bands = values.shape
    array = values.numpy().astype(_NUMBERS[name])
    image = pyvips.Image.new_from_memory(array.tobytes(), width, height, bands, name)
    image = image.copy(interpretation=_SPACES[bands < 3, name])
    for field, value in fields.items():
        image.set_type(_FIELD_TYPES[type(value)], field, cast(Any, value))  # its stub leaves out bytes
    return image


def profile_of_display_p3() -> bytes:
    """The ICC profile of Display P3 that comes with libvips."""
    return cast(bytes, pyvips.Operation.call("profile_load", "p3"))


def read_fields(image: pyvips.Image, wanted: re.Pattern[str]) -> dict[str, Any]:
    """The fields whose whole names match; text that is not UTF-8 is left out."""
    fields = dict[str, Any]()
    for name in image.get_fields():
        if wanted.fullmatch(name):
            with suppress(UnicodeDecodeError):
                fields[name] = image.get(name)
    return fields


def turn(jpeg: bytes, orientation: int) -> bytes:
    """Turn a small JPEG upright as EXIF's orientation says.

    Raises:
        pyvips.Error: it is damaged.
    """
    if orientation == 1:
        return jpeg
    image = pyvips.Image.new_from_buffer(jpeg, "").copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    return image.autorot().write_to_buffer(".jpg", Q=95, keep=0)


def reason(problem: Exception) -> str:
    """The last thing that libvips or the system complained of, in one line."""
    lines = [line.strip() for line in str(problem).splitlines()]
    said = next((line for line in reversed(lines) if any(map(str.isalpha, line))), type(problem).__name__)
    return "".join(letter for letter in said if letter.isprintable())[:200]
