"""The sets of the paper and of its field, found by the folders they are published in.

What those folders are called is data: `layouts/<set>.toml`. docs/datasets.md says what such a file holds.
"""

import hashlib
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from dino_ir.contracts import Pair
from dino_ir.errors import DataError
from dino_ir.files.images import list_images, read_rgb

__all__ = ["Published"]

_LAYOUTS = Path(__file__).parents[1] / "layouts"


class _Layout(NamedTuple):
    """Where a split's photos lie. Names of photos are their ways from a folder, without suffix."""

    degraded: str | None = None  # folder of degraded photos; None where there are clean ones only
    clean: str | None = None  # folder of clean photos; None where one picture holds both
    side_by_side: str | None = None  # "degraded_left": how it holds them
    match: str = ".+"  # what the names of the photos to take are like
    partner: str = r"\g<0>"  # the clean photo's name, made of what `match` found


class _Picture(NamedTuple):
    """The files of one pair."""

    name: str
    scene: str  # the clean photo's name, which degraded photos may share
    clean: Path
    degraded: Path | None = None  # None where it is to be made, `clean` where both are in one picture


@dataclass(frozen=True)
class Published:
    """A published set, in the folders that it is unpacked or commonly packed anew into.

    The first known layout that lies below one of the set's usual folders under the root, or below the root
    itself, is taken; the case of folders' names does not matter. Pairs are in the order of their names: the
    ways from the degraded folder, in a set of clean photos from the clean one.

    Attributes:
        set: such as "did"; docs/datasets.md lists all.
        split: such as "train" or "train_heavy".
        root: the folder that the set was unpacked in, or the set's own.
        count: take that many pairs: every scene once before any scene twice. None takes all.
        seed: of what `count` takes, which depends on it and on the names alone.

    Raises:
        DataError: no layout is found, clean photos are missing, two photos have one name, or there are
            fewer pairs than `count`; of a pair that is read: its sizes differ, or its halves.
        ValueError: an unknown set or split, or a count below 1.
    """

    set: str
    split: str
    root: str | Path
    count: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise ValueError(f"count is at least 1, got {self.count}")
        if self.found < (self.count or 1):
            there = f"{self.found} pictures of {self.set} {self.split}"
            raise DataError(f"{self.root} has {there}, fewer than the count of {self.count}")

    def __str__(self) -> str:
        some = "" if self.count is None else f", {self.count} of them"
        return f"{self.set} {self.split} in {self.root}{some}"

    @property
    def expected(self) -> int | None:
        """How many pairs or clean photos the split was published with; None where nobody says."""
        return self._split.get("images")

    @property
    def found(self) -> int:
        """How many there are under the root, before `count` takes some of them."""
        return len(self._all)

    @cached_property
    def _table(self) -> Mapping[str, Any]:
        files = {path.stem: path for path in sorted(_LAYOUTS.glob("*.toml"))}
        if self.set not in files:
            raise ValueError(f"no set {self.set!r}; there are: {', '.join(files)}")
        return tomllib.loads(files[self.set].read_text(encoding="utf-8"))

    @cached_property
    def _split(self) -> Mapping[str, Any]:
        splits = self._table["split"]
        if self.split not in splits:
            raise ValueError(f"no split {self.split!r} of {self.set}; there are: {', '.join(splits)}")
        split = splits[self.split]
        return {**splits[split["of"]], **split} if "of" in split else split

    @cached_property
    def _layouts(self) -> Sequence[_Layout]:
        return [_Layout(**layout) for layout in self._split["layouts"]]

    @cached_property
    def _all(self) -> Sequence[_Picture]:
        problem = ""
        for folder, layout in product(self._folders(), self._layouts):
            pictures, missing = _pair(folder, layout, self._split.get("only", ".+"))
            if pictures and missing:
                raise DataError(missing)
            if pictures:
                return pictures
            problem = problem or missing
        raise DataError(problem or self._what_was_tried())

    @cached_property
    def _pictures(self) -> Sequence[_Picture]:
        return self._all if self.count is None else _spread(self._all, self.count, self.seed)

    def _folders(self) -> Iterator[Path]:
        """The set's usual folders under the root, those that there are, and the root itself."""
        root = Path(self.root)
        if not root.is_dir():
            raise DataError(f"no folder {root}: --data DIR or DINO_IR_DATA is what roots are relative to")
        usual = (_below(root, top) for top in self._table["tops"])
        yield from (folder for folder in usual if folder is not None)
        yield root

    def _what_was_tried(self) -> str:
        ways = [[f"{way}/" for way in (layout.degraded, layout.clean) if way] for layout in self._layouts]
        tried = ", ".join(dict.fromkeys(" with ".join(way).replace("./", "photos") for way in ways))
        tops = ", ".join(f"{top}/" for top in self._table["tops"])
        note = f" ({self._table['note']})" if "note" in self._table else ""
        return (
            f"no {self.set} {self.split} in {self.root}: looked there and in {tops} for {tried};"
            f" it is at {self._table['source']}{note}"
        )

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> Pair:
        picture = self._pictures[index]
        clean = read_rgb(picture.clean)
        if picture.degraded is None:
            return Pair(picture.name, clean)
        if picture.degraded == picture.clean:
            return Pair(picture.name, *_halves(clean, picture.clean))
        degraded = read_rgb(picture.degraded)
        if self._table.get("clean_has_a_margin"):
            clean = _middle(clean, degraded)
        if degraded.shape != clean.shape:
            sizes = " and ".join(f"{image.shape[2]}x{image.shape[1]}" for image in (degraded, clean))
            raise DataError(f"{picture.degraded} and {picture.clean} differ in size: {sizes}")
        return Pair(picture.name, clean, degraded)


def _below(folder: Path, way: str) -> Path | None:
    """The folder that lies this way below another one, whatever the case of its name."""
    for part in Path(way).parts:
        alike = [path for path in folder.iterdir() if path.name.lower() == part.lower() and path.is_dir()]
        if not alike:
            return None
        folder = min(alike, key=lambda path: (path.name != part, path.name))
    return folder


def _pair(folder: Path, layout: _Layout, only: str) -> tuple[list[_Picture], str]:
    """The pictures of a layout below a folder, and a sentence on those whose clean photo is missing."""
    photos = _name(_below(folder, layout.degraded or layout.clean or "."), layout.match, only)
    if layout.degraded is None:
        return [_Picture(name, name, path) for name, path in photos.items()], ""
    if layout.clean is None:
        return [_Picture(name, name, path, path) for name, path in photos.items()], ""
    clean = _name(_below(folder, layout.clean)) if photos else {}
    pictures: list[_Picture] = []
    lonely: list[str] = []
    for name, path in photos.items():
        match = re.fullmatch(layout.match, name)
        scene = match.expand(layout.partner) if match else name
        if scene in clean:
            pictures.append(_Picture(name, scene, clean[scene], path))
        else:
            lonely.append(name)
    where = (folder / layout.degraded).as_posix()
    missing = f"{where}: no clean photo in {layout.clean}/ for {', '.join(lonely[:5])}"
    return pictures, missing if lonely else ""


def _name(folder: Path | None, *patterns: str) -> dict[str, Path]:
    """The photos below a folder by name, those that match all patterns; none where there is no folder."""
    if folder is None:
        return {}
    named: dict[str, Path] = {}
    for path in list_images(folder):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if all(re.fullmatch(pattern, name) for pattern in patterns):
            other = named.setdefault(name, path)
            if other is not path:
                raise DataError(f"{other} and {path.name} have one name: keep one, or rename one")
    return named


def _spread(pictures: Sequence[_Picture], count: int, seed: int) -> Sequence[_Picture]:
    """Take some pictures, in their order: every scene once before any scene twice."""

    def draw(name: str) -> bytes:
        return hashlib.blake2b(f"{seed} {name}".encode(), digest_size=8).digest()

    turns = Counter[str]()
    queue: list[tuple[int, bytes, str]] = []
    for picture in sorted(pictures, key=lambda picture: draw(picture.name)):
        queue.append((turns[picture.scene], draw(picture.scene), picture.name))
        turns[picture.scene] += 1
    taken = {name for _turn, _draw, name in sorted(queue)[:count]}
    return [picture for picture in pictures if picture.name in taken]


def _halves(both: Tensor, path: Path) -> tuple[Tensor, Tensor]:
    """The clean right half and the degraded left half of a picture."""
    width = both.shape[-1]
    if width % 2:
        raise DataError(f"{path} is {width} pixels wide: expected two halves of one width")
    degraded, clean = both.chunk(2, dim=-1)
    return clean.contiguous(), degraded.contiguous()


def _middle(clean: Tensor, degraded: Tensor) -> Tensor:
    """The middle of a clean photo, as large as the degraded one; all of it if that is larger."""
    (height, width), (whole_height, whole_width) = degraded.shape[-2:], clean.shape[-2:]
    top, left = (whole_height - height) // 2, (whole_width - width) // 2
    if top < 0 or left < 0:
        return clean
    return clean[:, top : top + height, left : left + width].contiguous()
