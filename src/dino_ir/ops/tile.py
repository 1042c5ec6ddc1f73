"""Cut a large image into overlapping tiles, and blend what becomes of them into one image.

tile 0  ▔▔▔▔▔╲
tile 1      ╱▔▔▔▔╲      along each side; the weights of all tiles sum to one at every pixel
tile 2          ╱▔▔▔▔▔
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Tile", "add_tile", "blend", "cut_tiles", "piece_of", "spread_tiles"]


class Tile(NamedTuple):
    """Where a tile lies, in pixels, and how much it counts there."""

    top: int
    left: int
    bottom: int
    right: int
    row_weights: Tensor  # [bottom - top], in (0, 1]; a pixel's weight is row weight x column weight
    column_weights: Tensor  # [right - left]


def cut_tiles(size: tuple[int, int], side: int, overlap: int, multiple: int = 1) -> list[Tile]:
    """Cover an image by as few tiles as possible, all of one size, row by row.

    Args:
        size: height and width of the image, multiples of `multiple`.
        side: no tile is longer or wider; a multiple of `multiple`.
        overlap: neighbours share at least so many pixels; at most half of `side`.
        multiple: sides and positions of tiles divide by it, so that a network that halves its
            features sees each tile on the same grid as the whole image.

    Raises:
        ValueError: a number that is not a multiple, or an overlap of more than half the side.
    """
    if any(number % multiple for number in (*size, side, overlap)) or side < 1:
        raise ValueError(f"{size}, side {side} and overlap {overlap} must be multiples of {multiple}")
    if not 0 <= overlap <= side // 2:
        raise ValueError(f"overlap must be 0 to {side // 2}, half of the tile's side, got {overlap}")
    rows, columns = (_spans(length, side, overlap, multiple) for length in size)
    return [
        Tile(top, left, bottom, right, row_weights, column_weights)
        for (top, bottom), row_weights in zip(rows, _weights(rows))
        for (left, right), column_weights in zip(columns, _weights(columns))
    ]


def spread_tiles(size: tuple[int, int], side: int, pixels: float, multiple: int = 1) -> list[Tile]:
    """Tiles spread evenly over an image, as a sample of it, from edge to edge; as many as `pixels` hold.

    Args:
        size: height and width of the image, multiples of `multiple`.
        side: no tile is longer or wider; a multiple of `multiple`.
        pixels: of all tiles together, at most; at least one tile comes.
        multiple: positions of tiles divide by it.

    Returns:
        Tiles of one size, of weight 1 everywhere; they overlap no more than covering the image takes.
    """
    height, width = size
    tall, wide = min(side, height), min(side, width)
    most_rows, most_columns = math.ceil(height / tall), math.ceil(width / wide)
    count = max(1, int(pixels // (tall * wide)))
    rows = min(most_rows, max(1, round((count * height / width) ** 0.5)))
    columns = min(most_columns, max(1, count // rows))
    rows = min(most_rows, max(1, count // columns))
    return [
        Tile(top, left, top + tall, left + wide, torch.ones(tall), torch.ones(wide))
        for top in _spread(height - tall, rows, multiple)
        for left in _spread(width - wide, columns, multiple)
    ]


def _spread(last: int, count: int, multiple: int) -> list[int]:
    """Positions from 0 to the last one; a single one is in the middle."""
    places = [last / 2] if count == 1 else [last * i / (count - 1) for i in range(count)]
    return [int(place // multiple) * multiple for place in places]


def piece_of(image: Tensor, tile: Tile) -> Tensor:
    """What lies under a tile: [..., H, W] -> [..., h, w], a view of the image."""
    return image[..., tile.top : tile.bottom, tile.left : tile.right]


def add_tile(image: Tensor, piece: Tensor, tile: Tile) -> None:
    """Add a tile's share to an image that began as zeros.

    Args:
        image: [..., H, W], changed in place.
        piece: [..., h, w], what became of the tile.
        tile: where it belongs.
    """
    weights = (tile.row_weights[:, None] * tile.column_weights).to(piece)
    piece_of(image, tile).add_(piece * weights)


def blend(tiles: Sequence[Tile], work: Callable[[Tile], Tensor]) -> Iterator[tuple[int, int, Tensor]]:
    """Blend tiles into an image of which little more than a tile is ever held.

    Args:
        tiles: from `cut_tiles`.
        work: makes the piece that belongs to a tile, [..., h, w]; it is asked for each once, in order.

    Yields:
        The top and the left of a part of the image, and that part, [..., h, w], once no later tile reaches
        it: the very numbers that `add_tile` makes of the whole. All parts together cover it.
    """
    rows = [list(row) for _top, row in groupby(tiles, key=lambda tile: tile.top)]
    width = tiles[-1].right
    above: Tensor | None = None  # what tiles have added to the rows they share with those below
    for row, next_row in zip(rows, [*rows[1:], None]):
        below: Tensor | None = None
        before: Tensor | None = None  # likewise, to the columns shared with the tile to the right
        for tile, beside in zip(row, [*row[1:], None]):
            piece = work(tile)
            height = (next_row[0].top if next_row else tile.bottom) - tile.top
            columns = (beside.left if beside else tile.right) - tile.left
            part = torch.zeros_like(piece)
            if above is not None:
                part[..., : above.shape[-2], :] = above[..., tile.left : tile.right]
            if before is not None:
                part[..., : before.shape[-1]] = before
            add_tile(part, piece, tile._replace(top=0, left=0, bottom=part.shape[-2], right=part.shape[-1]))
            if below is None:
                below = part.new_empty((*part.shape[:-2], part.shape[-2] - height, width))
            below[..., tile.left : tile.left + columns] = part[..., height:, :columns]
            before = part[..., columns:].clone()
            yield tile.top, tile.left, part[..., :height, :columns]
        above = below


def _spans(length: int, side: int, overlap: int, multiple: int) -> list[tuple[int, int]]:
    if length <= side:
        return [(0, length)]
    count = math.ceil((length - overlap) / (side - overlap))
    side = math.ceil((length + (count - 1) * overlap) / count / multiple) * multiple  # as small as covers
    starts = (min(i * (side - overlap), length - side) for i in range(count))
    return [(start, start + side) for start in starts]


def _weights(spans: list[tuple[int, int]]) -> list[Tensor]:
    """Raised cosines towards each neighbour, scaled to sum to one at every pixel."""
    length = spans[-1][1]
    ends = [0, *(end for _, end in spans)]
    starts = [*(start for start, _ in spans), length]
    weights: list[Tensor] = []
    for i, (start, end) in enumerate(spans):
        weight = torch.ones(end - start, dtype=torch.float64)
        shared_before, shared_after = ends[i] - start, end - starts[i + 1]
        weight[:shared_before] *= _rise(shared_before)
        weight[end - start - shared_after :] *= _rise(shared_after).flip(0)
        weights.append(weight)
    total = torch.zeros(length, dtype=torch.float64)
    for (start, end), weight in zip(spans, weights):
        total[start:end] += weight
    return [(weight / total[start:end]).float() for (start, end), weight in zip(spans, weights)]


def _rise(length: int) -> Tensor:
    """[length], from near 0 to near 1; reversed, it is one minus itself."""
    places = (torch.arange(length, dtype=torch.float64) + 0.5) / max(length, 1)
    return (math.pi / 2 * places).sin().square()
