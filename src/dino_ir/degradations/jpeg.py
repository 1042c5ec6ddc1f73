"""JPEG compression, which almost every photo has been through."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyvips
import torch
from torch import Tensor

from dino_ir.contracts import Parameters
from dino_ir.ops.color import to_float
from dino_ir.ops.ranges import between, span

__all__ = ["JPEG"]


@dataclass(frozen=True)
class JPEG:
    """Write and read each image as a JPEG. Always on the CPU, and rounded to 8 bits by its nature.

    Attributes:
        quality: libjpeg's, from 1 to 100; a pair [low, high] is a uniform range, rounded.
        subsampled: colour at half the resolution, as most cameras and programs write it.

    Raises:
        ValueError: a quality out of range, or a range given high to low.
    """

    quality: float | Sequence[float] = (40, 95)
    subsampled: bool = True

    def __post_init__(self) -> None:
        low, high = span(self.quality)
        if not 1 <= low <= high <= 100:
            raise ValueError(f"quality is a number or a pair [low, high] from 1 to 100, got [{low}, {high}]")

    def draw(self, rng: torch.Generator) -> Parameters:
        return {"quality": round(between(span(self.quality), rng))}

    def apply(self, images: Tensor, parameters: Sequence[Parameters], depth: Tensor | None = None) -> Tensor:
        pixels = (images.detach().clamp(0, 1) * 255).round().byte().cpu()
        compressed = [self._compress(image, each["quality"]) for image, each in zip(pixels, parameters)]
        return torch.stack(compressed).to(images)

    def _compress(self, image: Tensor, quality: int) -> Tensor:
        pixels = image.permute(1, 2, 0).contiguous().numpy()
        height, width, _ = pixels.shape
        picture = pyvips.Image.new_from_memory(pixels.tobytes(), width, height, 3, "uchar")
        mode = "on" if self.subsampled else "off"
        stored = picture.copy(interpretation="srgb").jpegsave_buffer(Q=quality, subsample_mode=mode)
        values = np.frombuffer(pyvips.Image.jpegload_buffer(stored).write_to_memory(), np.uint8)
        return to_float(torch.from_numpy(values.reshape(pixels.shape).copy()).permute(2, 0, 1))
