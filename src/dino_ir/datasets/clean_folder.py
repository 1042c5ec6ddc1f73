"""Clean photos, to be damaged while training or scoring."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import Tensor

from dino_ir.contracts import Pair
from dino_ir.errors import DataError
from dino_ir.files.images import name_images, read_rgb

__all__ = ["CleanFolder"]


@dataclass(frozen=True)
class CleanFolder:
    """Every photo below a folder, in the order of their names.

    Attributes:
        root: the folder.
        folders: take these sub-folders only.
        in_memory: keep photos once they are read, as uint8. With workers, each process keeps its own copy.

    Raises:
        DataError: a folder is missing, there is no photo, or two have one name.
    """

    root: str | Path
    folders: Sequence[str] | None = None
    in_memory: bool = False

    def __post_init__(self) -> None:
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
            clean = read_rgb(path)
            if self.in_memory:
                self._kept[index] = clean
        return Pair(name, clean)
