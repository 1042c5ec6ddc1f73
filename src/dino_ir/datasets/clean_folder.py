"""Clean photos, to be damaged while training or scoring."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from torch import Tensor

from dino_ir.contracts import Pair
from dino_ir.errors import DataError
from dino_ir.files.images import list_images, read_rgb

__all__ = ["CleanFolder"]


@dataclass(frozen=True)
class CleanFolder:
    """Every photo below a folder, in the order of their names.

    Attributes:
        root: the folder.
        folders: take these sub-folders only.
        in_memory: keep photos once they are read, as uint8.

    Raises:
        DataError: a folder is missing, or there is no photo.
    """

    root: str | Path
    folders: Sequence[str] | None = None
    in_memory: bool = False
    _kept: dict[int, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self._paths:
            raise DataError(f"no photos in {self.root}: put some there, or give another folder by --data")

    @cached_property
    def _paths(self) -> list[Path]:
        root = Path(self.root)
        folders = [root] if self.folders is None else [root / name for name in self.folders]
        for folder in folders:
            if not folder.is_dir():
                raise DataError(
                    f"no folder {folder}: --data DIR or DINO_IR_DATA is what roots are relative to"
                )
        return [path for folder in folders for path in list_images(folder)]

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Pair:
        path = self._paths[index]
        clean = self._kept.get(index)
        if clean is None:
            clean = read_rgb(path)
            if self.in_memory:
                self._kept[index] = clean
        return Pair(path.relative_to(self.root).with_suffix("").as_posix(), clean)
