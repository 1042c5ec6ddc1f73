"""How scores are taken: what publications do differently before they compare two images, as data.

A protocol is a TOML file in `protocols/`, or a table in a benchmark's file, with the fields of `Protocol`.
"""

import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from dino_ir.catalog import build
from dino_ir.contracts import Metric
from dino_ir.errors import ImageError, RecipeError
from dino_ir.metrics.psnr import PSNR
from dino_ir.metrics.ssim import SSIM
from dino_ir.ops.color import matlab_luma, round_to_8_bits

__all__ = ["OURS", "Protocol", "build_protocol", "protocol_file", "protocol_names", "read_protocol"]

_SHIPPED = Path(__file__).parent / "protocols"

Color = Literal["rgb", "luma", "luma_8_bits"]
Rounding = Literal["nearest", "none"]
Noise = Literal["own", "unclipped", "truncated"]
NoiseSeed = Literal["own", "each", "once"]
Window = Literal["gaussian", "uniform"]
Averaging = Literal["scores", "errors"]


@dataclass(frozen=True)
class Protocol:
    """What is done to images before and after they are compared. The defaults are this project's own.

    Attributes:
        name: its file's.
        title: who scores like this.
        source: where that can be looked up.
        multiple: both images are cut about their middle to a multiple of this, before damage and
            restoration; in pixels.
        noise: of a benchmark that adds Gaussian noise of one sigma. "own": as the benchmark says;
            "unclipped": floats beyond [0, 1] too; "truncated": cut to [0, 255], then the fraction is dropped.
        noise_seed: "own": as the benchmark says; "each": NumPy's generator is seeded with 0 before each
            photo; "once": before the first one.
        rounding: of the restored image: "nearest" of 8 bits, as a file would have it, or "none".
        shift: the restored image is compared at the best of all shifts by up to so many pixels, on what of
            both remains at all of them.
        border: pixels that are left out at each side.
        color: "rgb"; "luma", the Y of BT.601 from 16 to 235; or "luma_8_bits", that Y rounded.
        window, is_unbiased, is_shrunk: of SSIM; see `metrics/ssim.py`.
        averaging: over images: of the scores, or for PSNR "errors": of the squared errors.

    Raises:
        ValueError: a value that is none of these.
    """

    name: str = "default"
    title: str = "this project's own"
    source: str = "docs/evaluation.md"
    multiple: int = 1
    noise: Noise = "own"
    noise_seed: NoiseSeed = "own"
    rounding: Rounding = "nearest"
    shift: int = 0
    border: int = 0
    color: Color = "rgb"
    window: Window = "gaussian"
    is_unbiased: bool = False
    is_shrunk: bool = False
    averaging: Averaging = "scores"

    def __post_init__(self) -> None:
        if self.multiple < 1 or self.shift < 0 or self.border < 0:
            raise ValueError("multiple is at least 1, shift and border are at least 0")
        if (self.noise == "own") != (self.noise_seed == "own"):
            raise ValueError("noise and noise_seed are both the benchmark's own, or neither is")

    def metrics(self, names: Iterable[str] = ("psnr", "ssim")) -> dict[str, Metric]:
        """The metrics of those names, SSIM in this protocol's variant.

        Raises:
            RecipeError: no such metric.
        """
        ssim = SSIM(self.window, self.is_unbiased, self.is_shrunk)
        return {name: ssim if name == "ssim" else build("metrics", {"name": name}) for name in names}

    def cut(self, image: Tensor) -> Tensor:
        """Cut [..., H, W] about its middle so that both sides divide by `multiple`.

        Raises:
            ImageError: the image is smaller than that.
        """
        height, width = (side // self.multiple * self.multiple for side in image.shape[-2:])
        if not height or not width:
            raise ImageError(
                f"an image of {image.shape[-1]}x{image.shape[-2]} is too small for a protocol"
                f" that cuts to multiples of {self.multiple}"
            )
        top, left = (image.shape[-2] - height) // 2, (image.shape[-1] - width) // 2
        return image[..., top : top + height, left : left + width]

    def finish(self, restored: Tensor) -> Tensor:
        """What of a restored image is compared: clipped, and rounded where the protocol rounds."""
        return restored.clamp(0, 1) if self.rounding == "none" else round_to_8_bits(restored)

    def view(self, image: Tensor, clean: Tensor) -> tuple[Tensor, Tensor]:
        """The parts and colours of two images that are compared.

        Shape:
            [B, 3, H, W] twice -> [B, C, h, w] twice, with C 3 or, of luma, 1.

        Raises:
            ImageError: the border leaves nothing.
        """
        pair = torch.stack([image, clean])
        edge = self.border + self.shift
        if min(pair.shape[-2:]) <= 2 * edge:
            raise ImageError(
                f"an image of {pair.shape[-1]}x{pair.shape[-2]} has nothing within {edge} pixels"
            )
        pair = pair[
            ..., self.border : pair.shape[-2] - self.border, self.border : pair.shape[-1] - self.border
        ]
        if self.color != "rgb":
            pair = matlab_luma(pair)
        if self.color == "luma_8_bits":
            pair = round_to_8_bits(pair)
        return _align(pair[0], pair[1], self.shift) if self.shift else (pair[0], pair[1])

    def add_noise(self, clean: Tensor, sigma: float, rng: np.random.RandomState) -> Tensor:
        """Add noise to a clean image [3, H, W] of 8 bits in the way of the protocol; sigma is 0-255."""
        drawn = rng.standard_normal((*clean.shape[1:], clean.shape[0]))  # height, width, colours: as read
        noisy = clean.double() * 255 + torch.from_numpy(drawn).movedim(2, 0) * sigma
        return (noisy.clamp(0, 255).floor() if self.noise == "truncated" else noisy).float() / 255

    def average(self, name: str, scores: Sequence[float]) -> float:
        """The mean over images of one metric's scores: the number that papers print."""
        if self.averaging == "errors" and name == "psnr":
            error = fmean(10 ** (-score / 10) for score in scores)
            return -10 * math.log10(error) if error else math.inf
        return fmean(scores)


OURS = Protocol()
"""How this project takes scores where nothing else is said."""


def protocol_names() -> list[str]:
    """The protocols that come with the package, in alphabetical order."""
    return sorted(path.stem for path in _SHIPPED.glob("*.toml"))


def protocol_file(name: str | Path) -> Path:
    """The file of a protocol that comes with the package, or of one that ends in `.toml`.

    Raises:
        RecipeError: no such protocol.
    """
    path = Path(name)
    if path.suffix != ".toml":
        path = _SHIPPED / f"{name}.toml"
    if not path.is_file():
        raise RecipeError(f"no protocol {str(name)!r}; there are: {', '.join(protocol_names())}")
    return path


def read_protocol(name: str | Path) -> Protocol:
    """Read a protocol that comes with the package, or one from a TOML file.

    Raises:
        RecipeError: no such protocol, or one with a key or a value that is wrong.
    """
    path = protocol_file(name)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise RecipeError(f"{path} is not TOML: {problem}") from None
    return build_protocol({"name": path.stem, **table}, path)


def build_protocol(table: Mapping[str, Any], where: object) -> Protocol:
    """Build a protocol from a table.

    Args:
        table: fields of `Protocol`.
        where: the file it is in, for the message.

    Raises:
        RecipeError: a key or a value is wrong.
    """
    kinds: dict[str, Any] = {field.name: field.type for field in fields(Protocol)}
    for key, value in table.items():
        if key not in kinds:
            raise RecipeError(f"{where}: unknown key {key!r} of a protocol; there are: {', '.join(kinds)}")
        choices = get_args(kinds[key])
        if choices and value not in choices:
            raise RecipeError(f"{where}: {key} is one of {', '.join(choices)}, got {value!r}")
        if not choices and type(value) is not kinds[key]:
            raise RecipeError(f"{where}: {key} must be of type {kinds[key].__name__}, got {value!r}")
    try:
        return Protocol(**table)
    except ValueError as problem:
        raise RecipeError(f"{where}: {problem}") from None


def _align(image: Tensor, clean: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """The inner part of the clean images, and that part of the others which is most like it."""
    height, width = (side - 2 * reach for side in clean.shape[-2:])
    inner = clean[..., reach : reach + height, reach : reach + width]
    best = image[..., reach : reach + height, reach : reach + width].clone()
    least = -PSNR()(best, inner)
    for top, left in product(range(2 * reach + 1), repeat=2):
        shifted = image[..., top : top + height, left : left + width]
        error = -PSNR()(shifted, inner)
        best[error < least] = shifted[error < least]
        least = torch.minimum(least, error)
    return best, inner
