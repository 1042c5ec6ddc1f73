"""Photos that exist damaged and clean."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dino_ir.contracts import Pair
from dino_ir.errors import DataError
from dino_ir.files.images import name_images, read_rgb

__all__ = ["PairedFolder"]


@dataclass(frozen=True)
class PairedFolder:
    r"""Two folders, or two suffixes in one folder, whose files belong together by name.

    Many degraded photos may share one clean photo: with `shared=r"(\d+)_.*"`, `1400_1.png` to
    `1400_10.png` belong to `1400.png`.

    Attributes:
        root: the folder that holds both.
        degraded, clean: the two sub-folders; "." where they are one.
        degraded_suffix, clean_suffix: what follows the common part of a pair's names.
        shared: regular expression whose one group, in a degraded photo's name, is its clean photo's.

    Raises:
        DataError: a folder or a partner is missing, there is no pair, two photos of a folder have one
            name, or the sizes of a pair differ.
        ValueError: `shared` is no regular expression with one group.
    """

    root: str | Path
    degraded: str = "input"
    clean: str = "target"
    degraded_suffix: str = ""
    clean_suffix: str = ""
    shared: str | None = None

    def __post_init__(self) -> None:
        if self.shared is not None and _groups(self.shared) != 1:
            raise ValueError(f"shared is a regular expression with one group, got {self.shared!r}")
        if not self._paths:
            raise DataError(f"no pairs in {self.root}: expected photos in {self.degraded}/ and {self.clean}/")

    @cached_property
    def _paths(self) -> list[tuple[str, Path, Path]]:
        degraded = self._list(self.degraded, self.degraded_suffix)
        clean = self._list(self.clean, self.clean_suffix)
        if self.degraded == self.clean and len(self.degraded_suffix) <= len(self.clean_suffix):
            # The degraded suffix may be empty, and then fits the clean photos too.
            degraded = {name: path for name, path in degraded.items() if path not in clean.values()}
        partner = {name: self._partner(name) for name in degraded}
        if lonely := [name for name in degraded if partner[name] not in clean]:
            raise DataError(f"{self.root}: no clean photo in {self.clean}/ for {', '.join(lonely[:5])}")
        return [(name, degraded[name], clean[partner[name]]) for name in degraded]

    def _list(self, folder: str, suffix: str) -> dict[str, Path]:
        """Photos of a sub-folder by name, without the suffix that all of them must have."""
        found = name_images(Path(self.root) / folder)
        return {name.removesuffix(suffix): path for name, path in found.items() if name.endswith(suffix)}

    def _partner(self, name: str) -> str:
        match = re.fullmatch(self.shared, name) if self.shared else None
        return match.group(1) if match else name

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Pair:
        name, degraded, clean = self._paths[index]
        pair = Pair(name, read_rgb(clean), read_rgb(degraded))
        assert pair.degraded is not None
        if pair.degraded.shape != pair.clean.shape:
            sizes = " and ".join(
                f"{image.shape[2]}x{image.shape[1]}" for image in (pair.degraded, pair.clean)
            )
            raise DataError(f"{degraded} and {clean} differ in size: {sizes}")
        return pair


def _groups(pattern: str) -> int:
    try:
        return re.compile(pattern).groups
    except re.error:
        return 0
