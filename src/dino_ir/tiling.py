"""Photos in tiles: as large as memory allows, all with one look at the whole, parts as they are done."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from dino_ir.contracts import Restorer, View
from dino_ir.errors import ImageError
from dino_ir.ops.fill import fill
from dino_ir.ops.pad import crop_to, pad_to_multiple
from dino_ir.ops.room import BytesHeld, free_memory, is_lack_of_memory
from dino_ir.ops.shrink import shrink, size_within
from dino_ir.ops.tile import Tile, blend, cut_tiles, spread_tiles
from dino_ir.pools import Pools

__all__ = [
    "LOOK_PIXELS",
    "OVERLAP",
    "WHOLE_SIDE",
    "Report",
    "Source",
    "device_of",
    "restore_tiles",
]

WHOLE_SIDE = 768
"""With `tile="auto"`, photos of up to WHOLE_SIDE x WHOLE_SIDE pixels are restored whole, if memory allows."""

OVERLAP = 32
"""Pixels that neighbouring tiles share and are blended over (docs/size.md); an eighth of larger tiles,
at most half of small ones."""

LOOK_PIXELS = 1_000_000
"""A restorer looks at a photo of more pixels shrunk to so many: priors want fewer still."""

Report = Callable[[int, int], None]
"""Told after each tile how many are done, and how many there are."""

_SMALLEST = 64  # side of a tile: below, a network sees too little
_SIDES = (512, 384, 256, 192, 128, 96, _SMALLEST)
_PIECE = 192  # side of the pieces on which pools are measured: 16 at most, which are WHOLE_SIDE squared,
_SAMPLE = 0.5  # and no more of a photo than this, for all of it is restored once more, as tiles,
_FEWEST = 4  # and none rather than fewer than these, which would say little of it
_STRIP = 200_000  # pixels that are read at once to be shrunk
_SHARE = 0.5  # of free memory that is taken unless one says how much
_PROCESS = 450_000_000  # bytes that Python, torch and libvips take of a CPU's memory, measured
_WASTE = 1.5  # times the tensors: what an allocator and convolutions take, measured

_probed: WeakKeyDictionary[Restorer, tuple[float, float]] = WeakKeyDictionary()


class Source(NamedTuple):
    """Photos of one size, read where they are asked for: by top, left, bottom and right."""

    size: tuple[int, int]  # height and width
    read: Callable[[int, int, int, int], Tensor]  # [P, 3, h, w] in [0, 1]
    seen: Callable[[int, int, int, int], Tensor] | None = None  # [P, 1, h, w], 0 where alpha hides all


def device_of(restorer: Restorer) -> torch.device:
    """Where a restorer computes; the CPU, if it has no weights."""
    return next((weight.device for weight in restorer.parameters()), torch.device("cpu"))


def restore_tiles(
    restorer: Restorer,
    source: Source,
    tile: int | str = "auto",
    memory: int | None = None,
    report: Report | None = None,
) -> Iterator[tuple[int, int, Tensor]]:
    """Restore photos, of which little more than a tile is ever held.

    Tiles share what layers pool over all they see: it is measured beforehand, on pieces of the photo.
    Tiles are halved, and all begins anew, if memory turns out not to suffice: unless they were forbidden.

    Args:
        restorer: in eval mode.
        source: what to restore.
        tile: side of the tiles in pixels, "off" for the whole photo, or "auto". A restorer that does not
            work in tiles gets the whole photo in any case.
        memory: bytes that "auto" may take of the device's memory, with all that the process takes of a
            CPU's; None is half of what is free.
        report: is told of the progress.

    Yields:
        The top and the left of a part, and what restoring adds to it, [P, 3, h, w]. Adding changes, not
        blending results, lets a restorer that changes nothing give the very numbers back.

    Raises:
        ImageError: `memory` does not suffice for the smallest tile.
    """
    described = _look(restorer, source)
    side, at_once = _sides(restorer, source.size, tile, memory, described)
    while True:
        try:
            pools = _measured(restorer, source, described, side, at_once)
            yield from _parts(restorer, source, described, side, pools, report)
            return
        except (MemoryError, RuntimeError) as problem:
            may_halve = tile != "off" and restorer.works_in_tiles and side > _SMALLEST
            if not (is_lack_of_memory(problem) and may_halve):
                raise
        side = max(_SMALLEST, min(side, max(source.size)) // 2)
        at_once //= 4
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _parts(
    restorer: Restorer,
    source: Source,
    described: Tensor | None,
    side: int,
    pools: Pools | None,
    report: Report | None,
) -> Iterator[tuple[int, int, Tensor]]:
    (height, width), multiple = source.size, restorer.multiple_of
    done, side = 0, _up(side, multiple)
    overlap = min(max(OVERLAP, side // 8), side // 2) // multiple * multiple
    tiles = cut_tiles((_up(height, multiple), _up(width, multiple)), side, overlap, multiple)

    def work(tile: Tile) -> Tensor:
        nonlocal done
        piece, view = _with_views(restorer, source, described, [tile])
        with torch.inference_mode(), pools.sharing() if pools else nullcontext():
            change = restorer(piece, view) - piece
        done += 1
        if report:
            report(done, len(tiles))
        return change

    for top, left, part in blend(tiles, work):
        yield top, left, crop_to(part, (height - top, width - left))


def _measured(
    restorer: Restorer, source: Source, described: Tensor | None, side: int, at_once: float
) -> Pools | None:
    """What tiles share, by one pass over pieces of the photo; None if there is one tile, or nothing to share.

    Args:
        restorer, source, described: of the photo.
        side: of the tiles.
        at_once: pixels of a photo that the pieces may have together.
    """
    pools = Pools(restorer)
    at_once = min(at_once, _SAMPLE * math.prod(source.size))
    if not pools or max(source.size) <= side or at_once < _FEWEST * _PIECE**2:
        return None
    size = tuple(_up(length, restorer.multiple_of) for length in source.size)
    tiles = spread_tiles((size[0], size[1]), _up(_PIECE, restorer.multiple_of), at_once, restorer.multiple_of)
    pieces, view = _with_views(restorer, source, described, tiles)
    with torch.inference_mode(), pools.measuring(len(tiles)):
        restorer(pieces, view)
    return pools


def _with_views(
    restorer: Restorer, source: Source, described: Tensor | None, tiles: Sequence[Tile]
) -> tuple[Tensor, View | None]:
    """What lies under the tiles, [P T, 3, h, w], those of a photo in a row; and where that is in it."""
    height, width = source.size
    pieces = torch.stack([_piece(source, tile, restorer.multiple_of) for tile in tiles], dim=1)
    pieces = pieces.flatten(0, 1).to(device_of(restorer))
    if described is None:
        return pieces, None
    edges = [
        [tile.top / height, tile.left / width, tile.bottom / height, tile.right / width] for tile in tiles
    ]
    return pieces, View(described, pieces.new_tensor(edges).repeat(len(pieces) // len(tiles), 1))


def _piece(source: Source, tile: Tile, multiple: int) -> Tensor:
    """What lies under a tile, mirrored where it reaches beyond the photo as `pad_to_multiple` does it."""
    height, width = source.size
    top = max(0, tile.top - multiple) if tile.bottom > height else tile.top  # enough to be mirrored
    left = max(0, tile.left - multiple) if tile.right > width else tile.left
    piece = source.read(top, left, min(tile.bottom, height), min(tile.right, width))
    return pad_to_multiple(piece, multiple)[..., tile.top - top :, tile.left - left :]


def _look(restorer: Restorer, source: Source) -> Tensor | None:
    if not restorer.needs_look:
        return None
    small = size_within(source.size, LOOK_PIXELS)
    photo = source.read(0, 0, *source.size) if small == source.size else _shrunk(source, small)
    with torch.inference_mode():
        return restorer.look(photo.to(device_of(restorer)))


def _shrunk(source: Source, size: tuple[int, int]) -> Tensor:
    """The photos at a smaller size; what alpha hides has no share in it."""
    height, width = source.size
    rows = max(1, _STRIP // width)

    def strips() -> Iterator[tuple[int, Tensor]]:
        for top in range(0, height, rows):
            box = (top, 0, min(top + rows, height), width)
            strip = source.read(*box)
            if source.seen:
                seen = source.seen(*box)
                strip = torch.cat([strip * seen, seen], dim=1)
            yield top, strip

    small = shrink(strips(), height, size)
    if not source.seen:
        return small
    colours, shares = small[:, :3], small[:, 3:]
    filled = [fill(c / s.clamp(min=1e-6), s > 1e-6) for c, s in zip(colours, shares)]
    return torch.stack(filled)


def _sides(
    restorer: Restorer, size: tuple[int, int], tile: int | str, memory: int | None, described: Tensor | None
) -> tuple[int, float]:
    """The side of the tiles, and how many pixels may be worked on at once to measure pools."""
    if tile == "off" or not restorer.works_in_tiles:
        return max(size), 0
    if not isinstance(tile, str):
        return int(tile), WHOLE_SIDE**2
    whole = math.prod(size) <= WHOLE_SIDE**2
    largest = restorer.tile_side
    room = _room(device_of(restorer), memory)
    if room is None or math.prod(size) <= _SMALLEST**2:
        return (max(size) if whole else largest), WHOLE_SIDE**2
    fixed, by_pixel = _appetite(restorer, described)
    fixed += 2 * 12 * max(OVERLAP, largest // 8) * size[1]  # two rows of what tiles share
    pixels = 0
    sides = [largest, *(side for side in _SIDES if side < largest)]
    for side in [max(size), *sides] if whole else sides:
        pixels = math.prod(min(side, length) for length in size)
        if fixed + by_pixel * pixels <= room:
            return side, min(WHOLE_SIDE**2, (room - fixed) / max(by_pixel, 1e-9))
    if memory is None:
        return _SMALLEST, 0
    least = (memory - room + fixed + by_pixel * pixels) / 1e9
    raise ImageError(
        f"{memory / 1e9:.2f} GB of memory are too little for this photo; it takes {least:.2f} GB"
    )


def _room(device: torch.device, memory: int | None) -> float | None:
    """Bytes for tensors; None where nobody knows."""
    if memory is not None:
        return memory - _PROCESS if device.type == "cpu" else memory
    free = free_memory(device)
    return None if free is None else _SHARE * free


def _appetite(restorer: Restorer, described: Tensor | None) -> tuple[float, float]:
    """Bytes that a restorer takes for any tile, and for each pixel of it: found by two small ones."""
    if restorer not in _probed:
        sides = [count * _up(_SMALLEST // 2, restorer.multiple_of) for count in (1, 2)]
        first, second = (_WASTE * _peak(restorer, side, described) for side in sides)
        by_pixel = max(0.0, second - first) / (sides[1] ** 2 - sides[0] ** 2)
        _probed[restorer] = max(0.0, first - by_pixel * sides[0] ** 2), by_pixel
    return _probed[restorer]


def _peak(restorer: Restorer, side: int, described: Tensor | None) -> int:
    piece = torch.zeros(1, 3, side, side, device=device_of(restorer))
    box = piece.new_tensor([[0.0, 0.0, 1.0, 1.0]])
    view = None if described is None else View(described[:1], box)
    with torch.inference_mode(), BytesHeld() as held:
        restorer(piece, view)
    return held.peak


def _up(length: int, multiple: int) -> int:
    return math.ceil(length / multiple) * multiple
