"""Clean photos with the depth of the scene, for haze."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from dino_ir.contracts import Pair
from dino_ir.errors import DataError
from dino_ir.files.images import name_images, read_photo, read_rgb

__all__ = ["DepthFolder"]


@dataclass(frozen=True)
class DepthFolder:
    """Photos `NAME<clean_suffix>` and depth maps `NAME<depth_suffix>` side by side in a folder.

    In most depth files 0 means unknown: it is taken as the farthest that the file knows.

    Attributes:
        root: the folder.
        clean_suffix, depth_suffix: what follows the scene's name in the files' names.
        scale: the number in the file that stands for a depth of 1.
        inverse: the file holds disparity: depth is scale / number.
        in_memory: keep photos and depths once they are read. With workers, each process keeps its own copy.

    Raises:
        DataError: no photo, a depth map is missing, or two files have one name.
        ValueError: a scale that is not above 0, or suffixes that are alike.
    """

    root: str | Path
    clean_suffix: str = "_clean"
    depth_suffix: str = "_depth_x5000"
    scale: float = 5000
    inverse: bool = False
    in_memory: bool = False

    def __post_init__(self) -> None:
        if self.clean_suffix == self.depth_suffix or not self.scale > 0:
            raise ValueError("expected two different suffixes and a scale above 0")
        if not self._paths:
            raise DataError(f"no photos *{self.clean_suffix} with *{self.depth_suffix} in {self.root}")

    @cached_property
    def _paths(self) -> list[tuple[str, Path, Path]]:
        files = name_images(Path(self.root))
        # One suffix may end with the other, or be empty: then the longer one says what a file is.
        clean_is_longer = len(self.clean_suffix) > len(self.depth_suffix)
        names = [
            file.removesuffix(self.clean_suffix)
            for file in files
            if file.endswith(self.clean_suffix) and (clean_is_longer or not file.endswith(self.depth_suffix))
        ]
        if lonely := [name for name in names if name + self.depth_suffix not in files]:
            raise DataError(f"{self.root}: no {self.depth_suffix} for {', '.join(lonely[:5])}")
        return [(name, files[name + self.clean_suffix], files[name + self.depth_suffix]) for name in names]

    def __len__(self) -> int:
        return len(self._paths)

    @cached_property
    def _kept(self) -> dict[int, Pair]:
        return {}

    def __getitem__(self, index: int) -> Pair:
        pair = self._kept.get(index)
        if pair is None:
            pair = self._read(*self._paths[index])
            if self.in_memory:
                self._kept[index] = pair
        return pair

    def _read(self, name: str, photo: Path, depth: Path) -> Pair:
        clean, distance = read_rgb(photo), self._read_depth(depth)
        if clean.shape[1:] != distance.shape[1:]:
            raise DataError(f"{depth} is not of the size of {photo}")
        return Pair(name, clean, depth=distance)

    def _read_depth(self, path: Path) -> Tensor:
        photo = read_photo(path)
        numbers = photo.pixels[:1] * (2**photo.bits - 1 if photo.bits < 32 else 1)
        known = numbers > 0
        depth = self.scale / numbers if self.inverse else numbers / self.scale
        farthest = depth[known].max() if known.any() else torch.ones(())  # any number that is finite
        return torch.where(known, depth, farthest)
