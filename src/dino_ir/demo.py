"""Damage photos four ways, restore them blind, and show what came of it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from dino_ir.catalog import build
from dino_ir.contracts import Degradation, Restorer
from dino_ir.errors import DataError
from dino_ir.evaluation import Row, restore_and_score
from dino_ir.files.images import Photo, write_photo
from dino_ir.ops.sheet import sheet

__all__ = ["DAMAGE", "demonstrate", "read_photos", "sheet_path"]

DAMAGE: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "noise": {"name": "gaussian_noise", "sigma": 25},
        "blur": {"name": "gaussian_blur", "sigma": 2.5},
        "rain": {"name": "rain"},
        "haze": {"name": "haze"},
    }
)
"""What the photos suffer, by the word that tables and sheets show."""

_PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")  # in the wheel itself: nothing is downloaded


def read_photos() -> dict[str, Tensor]:
    """The photos that come with scikit-image, [3, H, W] each, by name.

    Raises:
        DataError: scikit-image is not installed.
    """
    try:
        from skimage import data
    except ImportError:
        raise DataError("the demo's photos come with scikit-image: pip install 'dino-ir[demo]'") from None
    arrays = {name: getattr(data, name)() for name in _PHOTOS}
    return {name: torch.from_numpy(array).movedim(2, 0) / 255 for name, array in arrays.items()}


def demonstrate(
    restorer: Restorer, photos: Mapping[str, Tensor], folder: Path, tile: int | str = "auto"
) -> Iterator[tuple[str, Row]]:
    """Damage each photo in every way, restore it, score it, and write a sheet per photo.

    A sheet has a row per damage: degraded, restored, clean. A photo always gets the same damage. The
    restorer is not told which.

    Args:
        photos: [3, H, W] each, by name.
        folder: where the sheets go, see `sheet_path`; it is made.
        tile: as in `inference.restore`.

    Yields:
        The damage, and the row of one photo.
    """
    folder.mkdir(parents=True, exist_ok=True)
    metrics = {name: build("metrics", {"name": name}) for name in ("psnr", "ssim")}
    degradations = {damage: build("degradations", table) for damage, table in DAMAGE.items()}
    for number, (name, clean) in enumerate(photos.items()):
        rows: list[list[Tensor]] = []
        for damage, degradation in degradations.items():
            degraded = _damage(clean, degradation, seed=number)
            row, restored = restore_and_score(restorer, name, degraded, clean, metrics, tile)
            rows.append([degraded, restored, clean])
            yield damage, row
        picture = sheet(rows, labels=["degraded", "restored", "clean"])
        write_photo(sheet_path(folder, name), Photo(picture))


def sheet_path(folder: Path, photo: str) -> Path:
    """Where `demonstrate` writes a photo's sheet."""
    return folder / f"{photo}.jpg"


def _damage(clean: Tensor, degradation: Degradation, seed: int) -> Tensor:
    parameters = degradation.draw(torch.Generator().manual_seed(seed))
    return degradation.apply(clean[None], [parameters])[0]
