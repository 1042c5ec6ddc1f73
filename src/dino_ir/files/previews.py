"""Photos made small, to be looked at."""

from pathlib import Path

import pyvips
from torch import Tensor

from dino_ir.errors import ImageError
from dino_ir.formats import vips
from dino_ir.formats.decoding import decode

__all__ = ["Picture", "read_preview"]

Picture = Tensor | Path
"""An image [3, H, W] in [0, 1], or a file that can be read, which is shown in the colours of its profile."""


def read_preview(picture: Picture, side: int) -> pyvips.Image:
    """8 bits of sRGB, without alpha, upright, no side longer than `side`.

    Raises:
        ImageError: a file that cannot be read.
    """
    if isinstance(picture, Tensor):
        return _shrink(vips.from_planes(picture, 8, {}), side)
    try:
        with picture.open("rb") as file:
            image, _notes = decode(picture, file, float("inf"))
            return _shrink(image, side)
    except (*vips.Failure, OSError) as problem:
        raise ImageError(f"{picture} cannot be shown: {vips.reason(problem)}") from None


def _shrink(image: pyvips.Image, side: int) -> pyvips.Image:
    if image.format == "float" and image.interpretation == "b-w":  # libvips takes its numbers for levels
        image = (image * 255).cast("uchar")
    image = image.thumbnail_image(side, height=side, size="down", output_profile="srgb")
    image = image.colourspace("srgb").cast("uchar")
    return image.flatten(background=[128.0]) if image.hasalpha() else image
