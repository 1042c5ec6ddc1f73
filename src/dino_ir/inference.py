"""Load a restorer from its weight file, and restore images of any kind and size with it."""

import re
from numbers import Integral
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dino_ir.catalog import build
from dino_ir.contracts import Restorer
from dino_ir.errors import DinoIRError, ImageError, WeightsError
from dino_ir.files.images import read_photo
from dino_ir.files.weights import fill_priors, find_weights, learned, read_weights
from dino_ir.ops.color import to_linear, to_srgb
from dino_ir.ops.kinds import copy_image, open_image
from dino_ir.tiling import Report, Source, restore_tiles
from dino_ir.trust import UntrustedError

__all__ = ["check_options", "find_device", "load", "restore", "settle"]


def load(weights: str | Path = "default", device: str = "auto") -> Restorer:
    """Build a restorer and fill in its weights.

    Args:
        weights: "default", the name of a file that comes with the package, or a path.
        device: as in `find_device`.

    Returns:
        The restorer, in eval mode.

    Raises:
        WeightsError: no such file, or it does not fit what it describes.
        RecipeError: the file describes a part that does not exist.
        DinoIRError: no such device.
    """
    place = find_device(device)
    path = find_weights(weights)
    state, table = read_weights(path)
    if "restorer" not in table:
        raise WeightsError(f"{path} holds no restorer, only a part of one")
    restorer: Restorer = build("restorers", table["restorer"])
    fill_priors(restorer, table.get("priors"))
    wrong = sorted(state.keys() ^ learned(restorer).keys())
    if wrong:
        raise WeightsError(f"{path} does not fit its restorer: {len(wrong)} names differ, such as {wrong[0]}")
    try:
        restorer.load_state_dict(state, strict=False)
    except RuntimeError as problem:
        raise WeightsError(f"{path} does not fit its restorer: {' '.join(str(problem).split())}") from None
    return restorer.to(place).eval()


def find_device(name: str = "auto") -> torch.device:
    """The device a name stands for; of a GPU, with its index.

    Args:
        name: "auto" (CUDA, else MPS, else the CPU), "cpu", "cuda", "cuda:N" or "mps".

    Raises:
        DinoIRError: unknown, or not in this machine.
    """
    if name == "auto":
        has_mps = torch.backends.mps.is_available()
        name = "cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?|mps", name):  # torch knows more, which hold no pixels
        raise DinoIRError(f"no device {name!r}; expected auto, cpu, cuda, cuda:N or mps")
    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError):  # torch has no error of its own for this
        raise DinoIRError(f"no device {name!r} here; expected auto, cpu, or one this machine has") from None


def restore(
    restorer: Restorer,
    image: Any,
    tile: int | str = "auto",
    strength: float = 1.0,
    memory: int | None = None,
    report: Report | None = None,
) -> Any:
    """Restore an image; what comes back has the kind, type of number and size of what came.

    Args:
        restorer: in eval mode, as `load` gives it.
        image: a float tensor [3, H, W] or [B, 3, H, W] in [0, 1]; a numpy array [H, W], [H, W, 1] or
            [H, W, 3] of uint8, uint16, or floats in [0, 1]; a PIL image; or a path, which comes back
            as an array [H, W, 3]. Any height and width from 1.
        tile: side of the tiles in pixels, "off" for the whole image at once, or "auto".
        strength: 0 gives the image back bit for bit, 1 restores fully; between, the light of the two
            is blended, as sRGB encodes it.
        memory: as in `tiling.restore_tiles`.
        report: as in `tiling.restore_tiles`, of each image or handful of small ones.

    Raises:
        ImageError: an image, a tile or a strength that is none of these, or a result with NaN.
    """
    check_options(tile, strength)
    if isinstance(image, str | Path):
        image = _read_array(image)
    degraded, close = open_image(image)
    if strength == 0:
        return copy_image(image)
    at_once = max(1, restorer.tile_side**2 // degraded[0, 0].numel())
    parts: list[Tensor] = []
    for photos in degraded.split(at_once):
        restored = torch.empty_like(photos)
        for top, left, change in restore_tiles(restorer, _source(photos), tile, memory, report):
            rows, columns = slice(top, top + change.shape[-2]), slice(left, left + change.shape[-1])
            restored[..., rows, columns] = settle(photos[..., rows, columns], change, strength)
        parts.append(restored)
    return close(torch.cat(parts))


def settle(degraded: Tensor, change: Tensor, strength: float) -> Tensor:
    """What restoring comes to: [..., 3, H, W] in [0, 1], of a change that `tiling.restore_tiles` yields.

    Raises:
        UntrustedError: the change holds NaN.
    """
    restored = degraded + change.to(degraded)
    if not restored.isfinite().all():
        raise UntrustedError(
            "the restorer gave values that are not numbers; try other weights or device='cpu'"
        )
    if strength < 1:  # in amounts of light, as two exposures would
        restored = to_srgb(to_linear(degraded).lerp(to_linear(restored), strength))
    return restored.clamp(0, 1)


def check_options(tile: Any, strength: float) -> None:
    """Refuse what `restore` cannot do.

    Raises:
        ImageError: a tile or a strength that it does not know.
    """
    if not 0 <= strength <= 1:
        raise ImageError(f"expected a strength from 0 to 1, got {strength}")
    is_side = not isinstance(tile, bool) and isinstance(tile, Integral) and int(tile) >= 1
    if not is_side and tile not in ("auto", "off"):
        raise ImageError(f'expected a tile of "auto", "off" or a number of pixels, got {tile!r}')


def _read_array(path: str | Path) -> Any:
    photo = read_photo(path)
    values = photo.pixels.expand(3, -1, -1).movedim(0, 2)
    if photo.bits == 32:
        return values.numpy().copy()
    top, number = (255, "uint8") if photo.bits == 8 else (65535, "uint16")  # 10 and 12 bits have no type
    return (values * top).round().numpy().astype(number)


def _source(photos: Tensor) -> Source:
    size = (photos.shape[-2], photos.shape[-1])
    return Source(size, lambda top, left, bottom, right: photos[..., top:bottom, left:right])
