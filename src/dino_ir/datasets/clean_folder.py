"""Clean photos, to be damaged while training or scoring."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import Tensor

from dino_ir.contracts import Pair
from dino_ir.errors import DataError
from dino_ir.files.images import name_images, read_rgb
from dino_ir.ops.color import to_float
from dino_ir.ops.resample import resize

__all__ = ["CleanFolder"]

_PALE = 0.55  # what pale photos are drawn towards: mist and water are of about this light


@dataclass(frozen=True)
class CleanFolder:
    """Every photo below a folder, in the order of their names.

    Attributes:
        root: the folder.
        folders: take these sub-folders only.
        in_memory: keep photos once they are read, as uint8. With workers, each process keeps its own copy.
        enlarge: how much larger photos are made, bilinearly: as soft as a camera's own pixels are.
        shrink: how much smaller photos are made, antialiased: detail grows finer, that of colours too, which
            JPEG takes first.
        vivid: how many times as far from their grey, the mean of R, G and B, colours are moved, then clipped.
        pale: how much of their contrast photos lose, everywhere alike: a dull day is not haze to take away.

    Raises:
        DataError: a folder is missing, there is no photo, or two have one name.
        ValueError: `enlarge`, `shrink` or `vivid` is not from 1 to 8, `pale` not from 0 to below 1, or photos
            are to be both larger and smaller.
    """

    root: str | Path
    folders: Sequence[str] | None = None
    in_memory: bool = False
    enlarge: float = 1.0
    shrink: float = 1.0
    vivid: float = 1.0
    pale: float = 0.0

    def __post_init__(self) -> None:
        for name in ("enlarge", "shrink", "vivid"):
            if not 1 <= getattr(self, name) <= 8:
                raise ValueError(f"{name} is a number from 1 to 8, got {getattr(self, name)}")
        if self.enlarge > 1 and self.shrink > 1:
            both = f"enlarge = {self.enlarge}, shrink = {self.shrink}"
            raise ValueError(f"photos are made larger or smaller, not both: {both}")
        if not 0 <= self.pale < 1:
            raise ValueError(f"pale is a number from 0 to below 1, got {self.pale}")
        if not self._photos:
            raise DataError(f"no photos in {self.root}: put some there, or give another folder by --data")

    @cached_property
    def _photos(self) -> list[tuple[str, Path]]:
        photos: dict[str, Path] = {}  # by name, so that what two folders share is taken once
        for folder in ["."] if self.folders is None else self.folders:
            found = name_images(Path(self.root) / folder)
            photos |= {(Path(folder) / name).as_posix(): path for name, path in found.items()}
        return list(photos.items())

    @cached_property
    def _kept(self) -> dict[int, Tensor]:
        return {}

    def __len__(self) -> int:
        return len(self._photos)

    def __getitem__(self, index: int) -> Pair:
        name, path = self._photos[index]
        clean = self._kept.get(index)
        if clean is None:
            clean = self._changed(read_rgb(path))
            if self.in_memory:
                self._kept[index] = clean
        return Pair(name, clean)

    def _changed(self, photo: Tensor) -> Tensor:
        """Make [3, H, W] of uint8 larger or smaller, more vivid and paler, in uint8."""
        height, width = (max(1, round(side * self.enlarge / self.shrink)) for side in photo.shape[-2:])
        sized = resize(to_float(photo)[None], (height, width))[0]
        grey = sized.mean(dim=0, keepdim=True)
        vivid = (sized + (self.vivid - 1) * (sized - grey)).clamp(0, 1)
        return ((vivid + self.pale * (_PALE - vivid)) * 255).round().byte()
