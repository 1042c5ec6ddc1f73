"""A photo as its file holds it -> the photo restored, in the numbers of its own profile; at any size."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol, cast

import pyvips
import torch
from torch import Tensor

from dino_ir.contracts import Restorer
from dino_ir.errors import ImageError
from dino_ir.files.images import MAX_PIXELS, Photo, check_result, read_photo, write_photo
from dino_ir.files.scratch import Scratch
from dino_ir.formats import vips
from dino_ir.formats.coding import Bits, kind_of, most_bits
from dino_ir.formats.decoding import plain, scaled, size_of
from dino_ir.inference import check_options, settle
from dino_ir.ops.color import to_linear, to_srgb
from dino_ir.ops.fill import fill
from dino_ir.ops.profiles import Profile, from_light, read_profile, to_light
from dino_ir.tiling import Report, Source, restore_tiles
from dino_ir.trust import Survey

__all__ = [
    "AS_IT_COMES",
    "LARGE",
    "Options",
    "Watch",
    "fit_colours",
    "is_large",
    "restore_large",
    "restore_photo",
]

LARGE = 4_000_000
"""Photos of more pixels are for `restore_large`, which holds no more than pieces of them."""

_ROWS = 64  # that are carried over at once where nothing is restored
_Read = Callable[[int, int, int, int], Photo]  # a piece, by its top, left, bottom and right


class Options(NamedTuple):
    """How a large photo is restored and written; what is None follows the photo, or the machine."""

    tile: int | str = "auto"  # as in `tiling.restore_tiles`
    strength: float = 1.0  # as in `inference.restore`
    memory: int | None = None  # as in `tiling.restore_tiles`
    quality: int | None = None  # as in `files.images.write_photo`
    depth: Bits | None = None  # likewise
    max_pixels: float = MAX_PIXELS  # more are refused before they are decoded
    is_checked: bool = True  # False: for restorers that change light or colours on purpose


AS_IT_COMES = Options()


class Watch(Protocol):
    """Whoever wants to know what is done to a photo, in sRGB and in [0, 1]."""

    def begin(self, size: tuple[int, int], read: Callable[[int, int, int, int], Tensor]) -> None:
        """The photo's height and width, and what gives a piece, [3, h, w], by top, left, bottom, right."""
        ...

    def part(self, top: int, left: int, shown: Tensor, restored: Tensor) -> None:
        """A part of the photo, [3, h, w], and what it became; at 0, 0 all begins anew."""
        ...


def restore_photo(
    restorer: Restorer,
    photo: Photo,
    tile: int | str = "auto",
    strength: float = 1.0,
    memory: int | None = None,
    report: Report | None = None,
    watch: Watch | None = None,
    is_checked: bool = True,
) -> Photo:
    """Carry over what changed, to numbers of the photo's own profile, and to pixels that are seen.

    So a restorer that changes nothing gives the very numbers back. Arguments are as in `inference.restore`.

    Raises:
        UntrustedError: the result must not be written; unless `is_checked`, only for what is no number.
    """
    check_options(tile, strength)
    if strength == 0 and watch is None:
        return photo

    def read(top: int, left: int, bottom: int, right: int) -> Photo:
        alpha = None if photo.alpha is None else photo.alpha[:, top:bottom, left:right]
        return photo._replace(pixels=photo.pixels[:, top:bottom, left:right], alpha=alpha)

    size = (photo.pixels.shape[1], photo.pixels.shape[2])
    pixels = torch.empty_like(photo.pixels)
    options = Options(tile, strength, memory, is_checked=is_checked)
    for top, left, piece in _restored(restorer, photo, size, read, options, report, watch):
        height, width = piece.pixels.shape[1:]
        pixels[:, top : top + height, left : left + width] = piece.pixels
    notes = () if strength == 0 else _profile(photo)[1]
    return photo._replace(pixels=pixels, notes=photo.notes + notes)


def is_large(photo: Path) -> bool:
    """Whether a file's header tells of so many pixels that `restore_large` is the way."""
    size = size_of(photo)
    return size is not None and size[0] * size[1] > LARGE


def restore_large(
    restorer: Restorer,
    photo: Path,
    result: Path,
    options: Options = AS_IT_COMES,
    report: Report | None = None,
    watch: Watch | None = None,
) -> tuple[str, ...]:
    """Restore a photo file to a photo file, with little more than a tile of it in memory.

    The result is that of `read_photo`, `restore_photo`, `fit_colours` and `write_photo`, one after the other;
    they are what becomes of a photo whose restorer must have the whole of it. Beside the result there lie,
    meanwhile, two files without names, of the size of the pixels. What does not flow row by row within
    libvips' codecs stays in memory: WebP, AVIF, and JPEGs and PNGs that are coded progressively.

    Args:
        restorer: in eval mode.
        photo: what to read, as `read_photo` does.
        result: what to write, as `write_photo` does; its folder exists.
        options: how.
        report: as in `tiling.restore_tiles`.
        watch: is told of every part.

    Returns:
        What could not be kept as it was, each a few words.

    Raises:
        ImageError: as in `read_photo`, `inference.restore` and `write_photo`.
        UntrustedError: the result must not be written; nothing is.
    """
    check_options(options.tile, options.strength)
    if not restorer.works_in_tiles:
        whole, (_tile, strength, memory, *_) = read_photo(photo, options.max_pixels), options
        is_checked = options.is_checked
        whole = restore_photo(restorer, whole, "off", strength, memory, report, watch, is_checked)
        return _write(result, whole, options)
    try:
        with Scratch(result.parent) as before, Scratch(result.parent) as after:
            opened = _open(photo, result, options.max_pixels, before)
            check_result(result, opened)

            def read(top: int, left: int, bottom: int, right: int) -> Photo:
                numbers = torch.from_numpy(before.get(top, left, bottom, right)).movedim(2, 0)
                values = scaled(photo, numbers, opened.bits)
                return opened._replace(**_split(values, opened))

            bits = most_bits(kind_of(result.suffix), options.depth or opened.bits)
            notes = () if options.strength == 0 else _profile(opened)[1]
            for top, left, piece in _restored(restorer, opened, before.size, read, options, report, watch):
                piece = fit_colours(piece, result)
                planes = piece.pixels if piece.alpha is None else torch.cat([piece.pixels, piece.alpha])
                after.put(vips.from_planes(planes, bits, {}), top, left, before.size)
            return _write(result, opened._replace(notes=opened.notes + notes), options, after.image())
    except OSError as problem:
        raise _unwritten(result, problem) from None


def fit_colours(photo: Photo, result: Path) -> Photo:
    """Turn grey of a profile of its own into sRGB where the result's kind of file knows no grey."""
    profile, _notes = _profile(photo)
    if not (photo.is_grey and profile and kind_of(result.suffix) in ("AVIF", "WebP")):
        return photo
    metadata = {name: value for name, value in photo.metadata.items() if name != "icc-profile-data"}
    pixels = to_srgb(to_light(photo.pixels, profile))
    return photo._replace(pixels=pixels, metadata=metadata, notes=(*photo.notes, "its grey became sRGB"))


def _open(photo: Path, result: Path, max_pixels: float, scratch: Scratch) -> Photo:
    """The photo without its pixels, which go to the scratch file."""

    def keep(image: pyvips.Image) -> pyvips.Image:
        try:
            scratch.keep(plain(photo, image)[0])
        except OSError as problem:  # of the scratch file, not of the photo
            raise _unwritten(result, problem) from None
        return image

    return read_photo(photo, max_pixels, keep)


def _write(
    result: Path, photo: Photo, options: Options, numbers: pyvips.Image | None = None
) -> tuple[str, ...]:
    fitted = fit_colours(photo, result)
    return fitted.notes + write_photo(result, fitted, options.quality, options.depth, numbers)


def _unwritten(result: Path, problem: OSError) -> ImageError:
    return ImageError(f"cannot write {result}: {problem.strerror or problem}")


def _split(values: Tensor, like: Photo) -> dict[str, Tensor]:
    """Colours, and alpha if a photo like this has it."""
    return {"pixels": values} if like.alpha is None else {"pixels": values[:-1], "alpha": values[-1:]}


def _restored(
    restorer: Restorer,
    photo: Photo,
    size: tuple[int, int],
    read: _Read,
    options: Options,
    report: Report | None,
    watch: Watch | None,
) -> Iterator[tuple[int, int, Photo]]:
    """Pieces that make up the whole, with their top and left; if memory was short, all of them once more."""
    profile, _notes = _profile(photo)
    source = _source(photo, profile, size, read)
    if watch:
        watch.begin(size, lambda *box: source.read(*box)[0])
    if options.strength == 0:
        for top, piece in _strips(size, read):
            yield top, 0, piece
        return
    survey, is_neutral = Survey(size), photo.is_grey or _is_neutral(size, read)
    for top, left, change in restore_tiles(restorer, source, options.tile, options.memory, report):
        piece = read(top, left, top + change.shape[-2], left + change.shape[-1])
        before, after = _settled(piece, profile, change[0].cpu(), options.strength)
        survey.add(top, left, before, after)
        if watch:
            watch.part(top, left, before, after)
        yield top, left, _changed(piece, profile, after - before, is_neutral)
    if options.is_checked:
        survey.require_trust()


def _source(photo: Photo, profile: Profile | None, size: tuple[int, int], read: _Read) -> Source:
    """What a restorer is shown of a photo."""

    def shown(*box: int) -> Tensor:
        piece = read(*box)
        pixels = piece.pixels if piece.alpha is None else fill(piece.pixels, piece.alpha > 0)
        return _view(pixels, profile).clamp(0, 1)[None]

    def seen(*box: int) -> Tensor:
        return cast(Tensor, read(*box).alpha).gt(0).float()[None]

    return Source(size, shown, None if photo.alpha is None else seen)


def _strips(size: tuple[int, int], read: _Read) -> Iterator[tuple[int, Photo]]:
    """The photo's rows, some at once, with the top of each."""
    for top in range(0, size[0], _ROWS):
        yield top, read(top, 0, min(top + _ROWS, size[0]), size[1])


def _is_neutral(size: tuple[int, int], read: _Read) -> bool:
    """Whether all that is seen of the photo has numbers of grey, one for all of its channels."""
    for _top, piece in _strips(size, read):
        pixels = piece.pixels if piece.alpha is None else piece.pixels * (piece.alpha > 0)
        if not pixels.eq(pixels[:1]).all():
            return False
    return True


def _settled(piece: Photo, profile: Profile | None, change: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """A piece as it is shown, and what it becomes where it is seen."""
    shown = _view(piece.pixels, profile).clamp(0, 1)
    restored = settle(shown, change, strength)
    return shown, restored if piece.alpha is None else torch.where(piece.alpha > 0, restored, shown)


def _changed(piece: Photo, profile: Profile | None, change: Tensor, is_neutral: bool) -> Photo:
    """The piece with a change of what is shown; neutral stays neutral."""
    if profile:
        view = _view(piece.pixels, profile)
        before, after = (from_light(to_linear(each), profile) for each in (view, view + change))
        change = after - before
    if is_neutral:
        change = change.mean(dim=0, keepdim=True)
    if piece.alpha is not None:  # colours of a profile do not come back to the very numbers
        change = change * (piece.alpha > 0)
    return piece._replace(pixels=piece.pixels + change)


def _view(pixels: Tensor, profile: Profile | None) -> Tensor:
    """What the restorer is shown of numbers, [C, h, w]: sRGB, [3, h, w], here still beyond [0, 1]."""
    return to_srgb(to_light(pixels, profile)) if profile else pixels.expand(3, -1, -1)


def _profile(photo: Photo) -> tuple[Profile | None, tuple[str, ...]]:
    """What the photo's numbers mean, None for sRGB; and why that is not what its own profile says."""
    data = photo.metadata.get("icc-profile-data")
    if not isinstance(data, bytes):
        return None, ()
    try:
        return read_profile(data, len(photo.pixels)), ()
    except ValueError as problem:
        return None, (f"its colour profile {problem}: taken for sRGB while it was restored",)
