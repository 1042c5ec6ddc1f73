"""What the verbs of the command line take: arguments and options, read and explained."""

import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = [
    "BackendOption",
    "CompiledOption",
    "DataOption",
    "DegradationsOption",
    "DepthOption",
    "DeviceOption",
    "ExactOption",
    "FormatOption",
    "InitOption",
    "MaxPixelsOption",
    "MinutesOption",
    "MirrorOption",
    "OverwriteOption",
    "QualityOption",
    "RecipeArgument",
    "RestorerOption",
    "ResultOption",
    "SettingsOption",
    "StrengthOption",
    "TensorboardOption",
    "TileOption",
    "VersionOption",
    "WeightsOption",
    "out_option",
    "read_depth",
    "read_format",
    "read_place",
    "read_tile",
    "show_version",
]


_FORMATS = ("jpg", "png", "webp", "tif", "avif")
_OTHER_NAMES = {"jpeg": "jpg", "tiff": "tif"}


def read_tile(text: str) -> int | str:
    """Read a tile option: auto, off or a number of pixels.

    Raises:
        typer.BadParameter: something else.
    """
    if text in ("auto", "off"):
        return text
    if not text.isdecimal() or int(text) < 1:
        raise typer.BadParameter(f"expected auto, off or a number of pixels, got {text!r}.")
    return int(text)


def read_format(text: str) -> str:
    """Read a format option, in letters of any case: the suffix of the files to write.

    Raises:
        typer.BadParameter: none of those listed in its help.
    """
    name = _OTHER_NAMES.get(text.lower(), text.lower())
    if name not in _FORMATS:
        raise typer.BadParameter(f"expected {', '.join(_FORMATS)}, got {text!r}.")
    return f".{name}"


def read_place(text: str) -> Path:
    """Read where to write: a file or a folder of this machine.

    Raises:
        typer.BadParameter: an empty text, or a URL.
    """
    if not text:
        raise typer.BadParameter("it is empty; the folder that one is in has the name .")
    if "://" in text:
        raise typer.BadParameter(f"{text} is a URL, and only `dino-ir cluster` writes to those.")
    return Path(text)


def read_depth(text: str) -> int:
    """Read a depth option: 8 or 16 bits.

    Raises:
        typer.BadParameter: another number, or none.
    """
    if text not in ("8", "16"):
        raise typer.BadParameter(f"expected 8 or 16, got {text!r}.")
    return int(text)


def show_version(is_wanted: bool) -> None:
    """Print the version and leave."""
    if is_wanted:
        sys.stdout.write(f"dino-ir {version('dino-ir')}\n")
        raise typer.Exit


RecipeArgument = Annotated[Path, typer.Argument(metavar="RECIPE", help="A TOML file; see recipes/.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
WeightsOption = Annotated[
    str, typer.Option(metavar="NAME|FILE", help="A shipped name (`dino-ir doctor` lists them) or a file.")
]
TileOption = Annotated[
    Any,
    typer.Option(
        parser=read_tile,
        metavar="auto|off|N",
        help="Restore in tiles of N x N pixels; auto: of 512 (256 for Restormer) above 768 x 768.",
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", envvar="DINO_IR_DATA", help="Folder that the roots of datasets are relative to."
    ),
]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change the recipe, such as phase.0.steps=10; may be repeated."
    ),
]
StrengthOption = Annotated[
    float, typer.Option(min=0, max=1, help="0 gives the photo back, 1 restores fully.")
]
CompiledOption = Annotated[
    bool, typer.Option("--compile", help="Compile the network's blocks: slow to start, then faster on a GPU.")
]
InitOption = Annotated[
    str | None, typer.Option(metavar="NAME|FILE", help="Weights to start from, as far as they fit.")
]
MinutesOption = Annotated[
    float, typer.Option(min=0, help="Stop after these minutes; the same command goes on later.")
]
TensorboardOption = Annotated[
    bool, typer.Option("--tensorboard", help="Log for TensorBoard too (extra `track`).")
]
RestorerOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|TABLE",
        help='Score a restorer that needs no weights instead, such as wiener, or {name="bm3d", sigma=25}.',
    ),
]
DegradationsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        metavar="NAME|TABLE",
        help='Such as rain, or {name="rain", strength="heavy"}; may be repeated. Default: all.',
    ),
]
FormatOption = Annotated[
    Any,
    typer.Option("--format", parser=read_format, metavar="|".join(_FORMATS), help="Default: the photo's."),
]
QualityOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=100,
        help="Of JPEG, WebP and AVIF; 100 is without loss in the last two. Default: the photo's.",
    ),
]
DepthOption = Annotated[
    Any, typer.Option(parser=read_depth, metavar="8|16", help="Bits of a number. Default: the photo's.")
]
MaxPixelsOption = Annotated[
    float, typer.Option(min=1, show_default="3e8", help="Refuse larger photos before they are decoded.")
]
BackendOption = Annotated[
    str,
    typer.Option(
        metavar="auto|torch|openvino|onnx",
        help="What runs the network; auto: torch, unless another is faster and as good (so far none).",
    ),
]
ExactOption = Annotated[
    bool, typer.Option("--exact", help="Compute in float32 also where bfloat16 is fast: slower.")
]
MirrorOption = Annotated[
    bool,
    typer.Option("--mirror", help="Restore photos mirrored, too: better by a little, twice the time."),
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace results that exist.")]
VersionOption = Annotated[
    bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")
]


def out_option(metavar: str, text: str, parser: Callable[[str], Path] | None = None) -> Any:
    """The option that says where results go."""
    return typer.Option("-o", "--out", parser=parser, metavar=metavar, help=text)


ResultOption = Annotated[
    Any,
    out_option(
        "OUT", "A file for one photo, or a folder. Default: NAME_restored.EXT beside each.", read_place
    ),
]
