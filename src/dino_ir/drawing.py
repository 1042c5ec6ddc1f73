"""What every figure is made of and ends as: a picture for people, and its numbers beside it as CSV."""

import csv
import importlib
import os
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from dino_ir.contracts import Prior, Restorer, Truth
from dino_ir.errors import DataError, RecipeError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "CURVE_MARKERS",
    "Drawing",
    "Material",
    "Sample",
    "check_drawing",
    "check_output",
    "figure_names",
    "find_figure",
    "new_figure",
    "show",
    "write_drawing",
]

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#F0E442")
"""Of Okabe and Ito (2008): told apart with any colour vision."""

CURVE_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""So that curves are told apart without colour too."""


_PICTURES = (".png", ".pdf", ".svg", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")


class Sample(NamedTuple):
    """A photo of a benchmark: its name, its damage in a word, it degraded, [3, H, W], and the truth of it."""

    name: str
    damage: str
    degraded: Tensor
    truth: Truth


class Material(NamedTuple):
    """What a figure may be drawn of; each takes what it needs.

    Attributes:
        photos: clean, [3, H, W], by name.
        restorers: by the name that the figure shows.
        prior: what describes photos.
        runs: folders of training runs, each with a `log.jsonl`, by name.
        means: a `means.csv` that `reproduce` wrote.
        samples: photos that are degraded already.
    """

    photos: Mapping[str, Tensor] = MappingProxyType({})
    restorers: Mapping[str, Restorer] = MappingProxyType({})
    prior: Prior | None = None
    runs: Mapping[str, Path] = MappingProxyType({})
    means: Path | None = None
    samples: Sequence[Sample] = ()


class Drawing(NamedTuple):
    """A figure, its numbers, and what to say of it."""

    figure: "Figure"
    heads: Sequence[str]
    rows: Sequence[Sequence[object]]
    notes: Sequence[str] = ()


def figure_names() -> list[str]:
    """The figures there are, in alphabetical order: the files of `figures/`."""
    package = importlib.import_module("dino_ir.figures")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


def find_figure(name: str) -> Callable[[Material], Drawing]:
    """What draws a figure: the `draw` of `figures/<name>.py`.

    Raises:
        RecipeError: no such file; the message lists the names there are.
    """
    if name not in figure_names():
        raise RecipeError(f"no figure {name!r}; there are: {', '.join(figure_names())}")
    return importlib.import_module(f"dino_ir.figures.{name}").draw


def new_figure(rows: int, columns: int, size: tuple[float, float], **options: Any) -> "tuple[Figure, Any]":
    """An empty figure and its axes, an array [rows, columns].

    Args:
        rows: of axes.
        columns: of axes.
        size: width and height in inches.
        options: of matplotlib's `Figure.subplots`.

    Raises:
        DataError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise DataError("figures are drawn by matplotlib: pip install 'dino-ir[figures]'") from None
    figure = Figure(figsize=size, layout="compressed")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def show(axes: "Axes", picture: Tensor, title: str = "") -> None:
    """Put a picture [3, H, W] in [0, 1] on axes that have no scale."""
    axes.imshow(picture.detach().cpu().clamp(0, 1).movedim(0, 2).numpy(), interpolation="nearest")
    axes.set_title(title, fontsize="small")
    axes.set_xticks([])
    axes.set_yticks([])


def check_output(
    path: Path, endings: Sequence[str], inputs: Iterable[Path] = (), is_replaced: bool = False
) -> None:
    """Refuse a file that cannot be written, or that would be written over another.

    Args:
        path: of the file.
        endings: one of which its name must have, in lower case.
        inputs: files that are read, which are never written over.
        is_replaced: another file of the name is written over.

    Raises:
        DataError: why not, and what to do.
    """
    folder = next(each for each in (path.parent, *path.parent.parents) if each.exists())
    if path.is_dir():
        raise DataError(f"{path} is a folder: name a file, such as {path / f'name{endings[0]}'}")
    if path.suffix.lower() not in endings:
        named = path.with_suffix(endings[0])
        raise DataError(f"expected a name that ends in {', '.join(endings)}, got {path}: name it {named}")
    if any(each.exists() and path.exists() and path.samefile(each) for each in inputs):
        raise DataError(f"{path} is read by this command and is not written over: choose another name")
    if path.exists() and not is_replaced:
        raise DataError(f"{path} exists: choose another name, or replace it by --overwrite")
    if not folder.is_dir():
        raise DataError(f"{folder} is a file, so {path} cannot lie in it: name another folder")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise DataError(f"{path} cannot be written: choose another place")


def check_drawing(path: Path, inputs: Sequence[Path] = (), is_replaced: bool = False) -> None:
    """Refuse a place for a figure by `check_output`, for the picture and for the numbers beside it.

    Raises:
        DataError: as there.
    """
    check_output(path, _PICTURES, inputs, is_replaced)
    check_output(path.with_suffix(".csv"), (".csv",), inputs, is_replaced)


def write_drawing(drawing: Drawing, path: Path) -> Path:
    """Write the picture in the kind of file that its name says, and the numbers beside it; return where.

    The picture is cut to what is drawn: pictures keep their shape, which leaves a figure's edges empty.

    Raises:
        DataError: matplotlib knows no such kind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        drawing.figure.savefig(path, dpi=150, bbox_inches="tight")
    except ValueError as problem:
        raise DataError(f"cannot write {path}: {str(problem).splitlines()[0]}") from None
    numbers = path.with_suffix(".csv")
    with numbers.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([drawing.heads, *drawing.rows])
    return numbers
