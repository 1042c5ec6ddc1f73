"""Damage photos four ways, restore them blind, and show what came of it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from dino_ir.catalog import build
from dino_ir.contracts import Restorer
from dino_ir.errors import DataError
from dino_ir.evaluation import METRICS, Row, mean, restore_and_score
from dino_ir.files.images import Photo, write_photo
from dino_ir.ops.sheet import sheet

__all__ = ["DAMAGE", "demonstrate", "read_photos"]

DAMAGE: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "noise": {"name": "gaussian_noise", "sigma": 25},
        "blur": {"name": "gaussian_blur", "sigma": 2.5},
        "rain": {"name": "rain", "strength": "medium"},
        "haze": {"name": "haze", "beta": 1.5, "air": 0.9},
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
    restorer: Restorer, folder: Path, photos: Mapping[str, Tensor] | None = None
) -> Iterator[str]:
    """Damage each photo in every way, restore it, and write a sheet per photo; yield lines that tell.

    A sheet has a row per damage: degraded, restored, clean. A photo always gets the same damage, and the
    restorer is not told which.

    Args:
        restorer: in eval mode.
        folder: where the sheets go, as JPEG files by the photos' names; it is made.
        photos: [3, H, W] each, by name; None takes `read_photos()`.

    Raises:
        DataError: scikit-image's photos are asked for, and it is not installed.
    """
    photos = read_photos() if photos is None else photos
    folder.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[Row]] = {damage: [] for damage in DAMAGE}
    for number, (name, clean) in enumerate(photos.items()):
        strips: list[list[Tensor]] = []
        for damage, table in DAMAGE.items():
            degraded = _damage(clean, table, seed=number)
            row, restored = restore_and_score(restorer, name, degraded, clean, METRICS)
            strips.append([degraded, restored, clean])
            rows[damage].append(row)
            yield _line(damage, row)
        write_photo(folder / f"{name}.jpg", Photo(sheet(strips, labels=["degraded", "restored", "clean"])))
    yield from (_line(damage, mean(scored)) for damage, scored in rows.items())
    yield f"Sheets: {', '.join(str(folder / f'{name}.jpg') for name in photos)}"


def _damage(clean: Tensor, table: Mapping[str, Any], seed: int) -> Tensor:
    degradation = build("degradations", table)
    parameters = degradation.draw(torch.Generator().manual_seed(seed))
    return degradation.apply(clean[None], [parameters])[0]


def _line(damage: str, row: Row) -> str:
    before, after = row.input_scores, row.scores
    return (
        f"{row.image:10} {damage:6} PSNR {before['psnr']:5.2f} -> {after['psnr']:5.2f} dB"
        f"   SSIM {before['ssim']:.3f} -> {after['ssim']:.3f}"
    )
