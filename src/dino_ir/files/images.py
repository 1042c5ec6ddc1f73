"""Image files in and out, by libvips: type of number, colours, alpha and metadata survive the way.

libvips keeps threads. A process that has read an image here must start its workers by `spawn`:
a forked one would wait for threads that it does not have.
"""

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pyvips
import torch
from torch import Tensor

from dino_ir.errors import DataError, ImageError
from dino_ir.formats import exif, headers, iptc, vips, xmp
from dino_ir.formats.coding import Bits, add_segments, kind_of, longest, most_bits, saving, take_segments
from dino_ir.formats.decoding import Keep, decode, plain, scaled, with_fields
from dino_ir.unfinished import unfinished_name

__all__ = ["MAX_PIXELS", "Photo", "check_result", "list_images", "name_images", "read_photo", "read_rgb",
           "write_photo"]  # fmt: skip

MAX_PIXELS = 300_000_000
"""Images of more pixels are refused before they are decoded, unless one asks for them."""

_KEPT = re.compile(r"(xmp|iptc|icc-profile)-data|gainmap-.*|png-comment-\d+-(?!XML|Raw).*|resolution-unit")
_READ = re.compile(f"{_KEPT.pattern}|exif-data|orientation|n-pages|palette|bits-per-sample|vips-loader")
_KEEP_ALL, _KEEP_EXIF = 0b111111, 0b1  # libvips' flags for what a saver writes


class Photo(NamedTuple):
    """A photo and all that must be written back with it."""

    pixels: Tensor  # [3, H, W], or [1, H, W] where the file is grey; in the colours of its ICC profile
    bits: Bits = 8  # of one number in the file; 32 are floats
    alpha: Tensor | None = None  # [1, H, W] in [0, 1]; the colours are not scaled by it
    metadata: vips.Fields = MappingProxyType({})  # orientation is already applied, and its tags are 1
    resolution: tuple[float, float] = (1.0, 1.0)  # pixels per millimetre, horizontal and vertical
    traits: headers.Traits = headers.Traits()  # how its file was coded
    notes: tuple[str, ...] = ()  # what could not be taken as it is, each a few words

    @property
    def is_grey(self) -> bool:
        """Whether the file has one channel besides alpha."""
        return self.pixels.shape[0] == 1


def list_images(folder: Path | str, suffixes: Collection[str] = headers.IMAGE_SUFFIXES) -> list[Path]:
    """Find the images in a folder and below it, sorted, by `suffixes` in lower case; links are not followed.

    Left out is what is hidden: names that start with a dot, such as a viewer's `.thumbs/`. A folder that
    cannot be read is among the images, so that who reads them hears of it.

    Raises:
        ImageError: no such folder.
    """
    if not os.path.isdir(folder):
        raise ImageError(f"{folder} is not a folder")
    found: list[Path] = []
    walk = os.walk(folder, onerror=lambda problem: found.append(Path(problem.filename)))
    for place, below, names in walk:
        below[:] = [name for name in below if not name.startswith(".")]
        shown = (Path(place, name) for name in names if not name.startswith("."))
        found += [path for path in shown if path.suffix.lower() in suffixes]
    return sorted(found)


def name_images(folder: Path) -> dict[str, Path]:
    """The images in a folder and in those below it by name: their way from the folder, without suffix.

    Raises:
        DataError: no such folder, or two images of one name.
    """
    if not folder.is_dir():
        raise DataError(f"no folder {folder}: --data DIR or DINO_IR_DATA is what roots are relative to")
    named: dict[str, Path] = {}
    for path in list_images(folder):
        other = named.setdefault(path.relative_to(folder).with_suffix("").as_posix(), path)
        if other is not path:
            raise DataError(f"{other} and {path.name} have one name: keep one, or rename one")
    return named


def read_rgb(path: Path | str) -> Tensor:
    """Read any image as [3, H, W], uint8, upright; grey is repeated, alpha dropped.

    An RGB file's numbers stay as they are, whatever its profile says: published scores are
    computed that way.

    Raises:
        ImageError: missing, empty, cut short, or not an image.
    """
    image = _open(Path(path), MAX_PIXELS, pyvips.Image.copy_memory).image
    try:
        if image.format == "float":
            image = (image * 255).rint().copy(interpretation="srgb" if image.bands > 2 else "b-w")
        image = image.colourspace("srgb").cast("uchar")
        return vips.to_planes(image[:3] if image.bands > 3 else image)
    except vips.Failure as problem:
        raise ImageError(f"{path} has colours that cannot be read: {vips.reason(problem)}") from None


def read_photo(path: Path | str, max_pixels: float = MAX_PIXELS, keep: Keep | None = None) -> Photo:
    """Read a photo upright, with its bit depth, alpha and metadata.

    CMYK and other colour models become sRGB, a palette becomes its colours, premultiplied colours
    are divided by their alpha, and of several pages or frames the first is read: with a note each.

    Args:
        path: of a JPEG, PNG, WebP, TIFF, AVIF or GIF, whatever its name ends in.
        max_pixels: a file of more is refused by its header.
        keep: takes the pixels as they lie in the file; those of the photo are then [C, 0, 0].

    Raises:
        ImageError: missing, empty, cut short, too large, not an image, or of a kind that cannot be kept.
    """
    path = Path(path)
    opened = _open(path, max_pixels, keep or pyvips.Image.copy_memory)
    try:
        metadata, notes = _metadata(opened)
        image, bits = plain(path, opened.image)
        values = torch.empty(image.bands, 0, 0) if keep else scaled(path, vips.to_planes(image), bits)
    except vips.Failure as problem:
        raise ImageError(f"{path} is damaged or unusual: {vips.reason(problem)}") from None
    if image.interpretation != opened.image.interpretation:
        notes.append(f"{str(opened.image.interpretation).upper()} became RGB")
        metadata.pop("icc-profile-data", None)  # it describes the colours that were left behind
    pixels, alpha = (values, None) if image.bands in (1, 3) else (values[:-1], values[-1:])
    why = headers.profile_problem(metadata.get("icc-profile-data", b""), len(pixels))
    if why and metadata.pop("icc-profile-data", None):
        notes.append(f"its colour profile {why} and was left out")
    sides = (image.xres, image.yres)
    if sides == (1.0, 1.0) and "exif-data" in metadata:  # libvips does not look there in all kinds
        sides = exif.resolution(metadata["exif-data"]) or sides
    return Photo(pixels, bits, alpha, metadata, sides, opened.traits, tuple(notes))


def write_photo(
    path: Path | str,
    photo: Photo,
    quality: int | None = None,
    depth: Bits | None = None,
    numbers: pyvips.Image | None = None,
) -> tuple[str, ...]:
    """Write a photo in the kind of file its name says; half a file is never left under that name.

    PNG and TIFF lose nothing; WebP and AVIF lose nothing if the quality is 100.

    Args:
        path: where to; its suffix is one of `headers.IMAGE_SUFFIXES`, its folder exists.
        photo: what to write; values outside [0, 1] are clipped.
        quality: of a JPEG, WebP or AVIF, 1 to 100; None follows the photo's file, and stands for 95 in
            a JPEG and for 100 elsewhere if that was without loss.
        depth: bits of one number; None follows the photo's file. As near as that kind of file can.
        numbers: what to write in place of the photo's pixels, as `formats.vips.from_planes` makes it.

    Returns:
        What could not be kept, each a few words.

    Raises:
        ImageError: an unknown suffix, alpha in a JPEG, or a folder that cannot be written to.
    """
    check_result(path := Path(path), photo)
    unfinished = unfinished_name(path)
    try:
        notes = _write(unfinished, photo, quality, depth, numbers)
        os.replace(unfinished, path)
    except (*vips.Failure, OSError) as problem:
        raise ImageError(f"cannot write {path}: {vips.reason(problem)}") from None
    finally:
        unfinished.unlink(missing_ok=True)
    return notes


def check_result(path: Path, photo: Photo) -> None:
    """Raise an ImageError if no file of that name can hold the photo: an unknown suffix, alpha in a JPEG."""
    suffixes = headers.IMAGE_SUFFIXES
    if path.suffix.lower() not in suffixes:
        raise ImageError(f"cannot write {path}; its name must end in one of: {', '.join(suffixes)}")
    if kind_of(path.suffix) == "JPEG" and photo.alpha is not None:
        raise ImageError(f"cannot write {path}: a JPEG has no alpha; use .png, .tif, .webp or .avif")


class _Opened(NamedTuple):
    image: pyvips.Image  # upright
    fields: dict[str, Any]  # of the image as it lay
    traits: headers.Traits
    tiff: exif.Tiff | None
    notes: tuple[str, ...]


def _open(path: Path, max_pixels: float, keep: Keep) -> _Opened:
    is_image = False
    try:
        if why := headers.no_file(path):
            raise ImageError(f"{path} {why}")
        with path.open("rb") as file:
            tiff = exif.read_tiff(file)
            if why := headers.refusal(path, file) or (tiff and tiff.refusal):
                raise ImageError(f"{path} {why}")
            is_image, traits = headers.is_like_an_image(file), headers.read_traits(file)
            if traits.hdr:
                raise ImageError(f"{path} is an HDR photo ({traits.hdr}); save it as SDR first")
            image, notes = decode(path, file, max_pixels, keep)
        fields = vips.read_fields(image, _READ) | {**traits.fields}
        return _Opened(image.autorot(), fields, traits, tiff, notes)
    except OSError as problem:
        raise ImageError(f"{path} cannot be read: {problem.strerror or problem}") from None
    except vips.Failure as problem:
        why = f"is damaged, cut short or unusual: {vips.reason(problem)}"
        raise ImageError(f"{path} {why if is_image else 'is not an image that can be read'}") from None


def _metadata(opened: _Opened) -> tuple[dict[str, Any], list[str]]:
    """What must be written back, put right for the upright image; and what was changed or is lost."""
    image, fields, traits, tiff, damage = opened
    notes = [*damage, *traits.notes, *_simplified(opened)]
    kept = {name: value for name, value in fields.items() if _KEPT.fullmatch(name)}
    if traits.is_display_p3:
        kept.setdefault("icc-profile-data", vips.profile_of_display_p3())
    if isinstance(packet := kept.get("xmp-data"), bytes):
        kept["xmp-data"], lost = xmp.upright(packet)
        notes += lost
    if block := tiff.exif if tiff else fields.get("exif-data"):
        try:
            kept["exif-data"] = exif.upright(block.removeprefix(b"Exif\0\0"), image.width, image.height)
        except ValueError:
            notes.append("its EXIF is damaged and was left out")
    if "gainmap-data" in kept:
        kept["gainmap-data"] = vips.turn(kept["gainmap-data"], fields.get("orientation", 1))
    return kept, notes


def _simplified(opened: _Opened) -> Iterator[str]:
    fields, tiff = opened.fields, opened.tiff
    if tiff and tiff.is_premultiplied:
        yield "its colours were divided by their alpha"
    if "palette" in fields or (tiff and tiff.has_palette):
        yield "its palette became full colours"
    if fields.get("n-pages", 1) > 1:
        yield f"the first of {fields['n-pages']} {'pages' if tiff else 'frames'}"


def _write(
    path: Path, photo: Photo, quality: int | None, depth: Bits | None, numbers: pyvips.Image | None
) -> tuple[str, ...]:
    kind = kind_of(path.suffix)
    wanted = depth or photo.bits
    bits = most_bits(kind, wanted)
    fields, notes = _fitting(photo, kind)
    if bits < wanted:
        was = "floats" if wanted == 32 else f"{wanted} bits"
        notes.append(f"{was} became {bits} bits, as {kind} holds no more")
    segments = take_segments(fields) if kind == "JPEG" else b""
    block, captions, token = fields.pop("exif-data", None), None, b""
    keep = _KEEP_ALL
    if kind == "TIFF":
        captions = fields.pop("iptc-data", None)  # libvips cuts it short
    elif block:
        fields["exif-data"], token = exif.blank(block)
    else:
        keep ^= _KEEP_EXIF  # libvips would make a block that tells nothing
    planes = photo.pixels if photo.alpha is None else torch.cat([photo.pixels, photo.alpha])
    planes = planes if numbers is None else torch.zeros(numbers.bands, 1, 1)
    image = vips.from_planes(planes, bits, fields)
    image = image if numbers is None else with_fields(numbers, image)
    image = image.copy(xres=photo.resolution[0], yres=photo.resolution[1])
    quality, size = quality or photo.traits.quality, image.width * image.height
    vips.encode(image, path, saving(kind, bits, quality, photo.traits.is_subsampled, size) | {"keep": keep})
    if kind == "JPEG":
        add_segments(path, photo.resolution, segments + photo.traits.further)
    if kind == "TIFF" and (block or captions):
        exif.into_tiff(path, block, captions)
    elif block and not exif.fill_blank(path, block, token):
        notes.append("its EXIF was left out, for this libvips lays it out in a way of its own")
    return tuple(notes)


def _fitting(photo: Photo, kind: str) -> tuple[dict[str, Any], list[str]]:
    """What of the metadata has a place in a kind of file, in its form there; and what has not."""
    fields, notes = dict[str, Any](photo.metadata), list[str]()
    if kind != "JPEG" and photo.traits.further:
        notes.append(f"a part of its XMP or IPTC has no place in {kind}")
    if captions := fields.pop("iptc-data", None):
        form = iptc.wrap(captions) if kind == "JPEG" else iptc.unwrap(captions) if kind == "TIFF" else None
        if form:
            fields["iptc-data"] = form
        else:
            notes.append(f"its IPTC has no place in {kind}")
    if kind != "JPEG" and fields.pop("gainmap-data", None):
        notes.append(f"its HDR gain map has no place in {kind}")
    for name, most in longest(kind).items():
        if len(fields.get(name, b"")) > most:
            del fields[name]
            notes.append(f"its {name.removesuffix('-data').upper()} is too long and was left out")
    return fields, notes
