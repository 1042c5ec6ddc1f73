import pytest
import torch

from dino_ir.ops.tile import add_tile, blend, cut_tiles, piece_of, spread_tiles

CASES = [
    # size, side, overlap, multiple
    ((1, 1), 8, 4, 1),
    ((1, 50), 8, 4, 1),
    ((37, 53), 16, 5, 1),
    ((64, 64), 64, 8, 8),
    ((72, 200), 64, 16, 8),
    ((40, 16), 16, 8, 8),
    ((32, 32), 8, 0, 8),
    ((9, 9), 1, 0, 1),
]


@pytest.mark.parametrize(("size", "side", "overlap", "multiple"), CASES)
def test_untouched_tiles_give_the_image_back(size, side, overlap, multiple):
    image = torch.rand(2, 3, *size)

    total = torch.zeros_like(image)
    for tile in cut_tiles(size, side, overlap, multiple):
        add_tile(total, piece_of(image, tile), tile)

    torch.testing.assert_close(total, image, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("size", "side", "overlap", "multiple"), CASES)
def test_tiles_have_one_size_and_lie_on_the_grid(size, side, overlap, multiple):
    tiles = cut_tiles(size, side, overlap, multiple)

    shapes = {(tile.bottom - tile.top, tile.right - tile.left) for tile in tiles}
    assert len(shapes) == 1
    assert max(shapes.pop()) <= side
    assert all(edge % multiple == 0 for tile in tiles for edge in tile[:4])
    assert (tiles[-1].bottom, tiles[-1].right) == size


def test_neighbours_share_at_least_the_overlap():
    tiles = cut_tiles((16, 200), 40, 12)

    lefts, rights = [tile.left for tile in tiles], [tile.right for tile in tiles]
    assert all(right - left >= 12 for right, left in zip(rights, lefts[1:]))


def test_every_weight_is_positive_and_small_at_seams():
    first, second = cut_tiles((10, 30), 20, 8)

    assert torch.cat([first.column_weights, second.column_weights]).min() > 0
    assert first.column_weights[-1] == second.column_weights[0] < 0.02
    assert first.row_weights.eq(1).all()


def test_an_image_of_one_tile_keeps_its_bits():
    image = torch.rand(3, 24, 16)
    (tile,) = cut_tiles((24, 16), 24, 8)

    total = torch.zeros_like(image)
    add_tile(total, image, tile)

    assert torch.equal(total, image)


@pytest.mark.parametrize(
    ("size", "side", "overlap", "multiple"),
    [((8, 9), 8, 4, 4), ((8, 8), 6, 2, 4), ((8, 8), 8, 6, 1), ((8, 8), 8, -2, 1), ((8, 8), 0, 0, 1)],
)
def test_what_cannot_be_tiled_is_refused(size, side, overlap, multiple):
    with pytest.raises(ValueError, match="must be"):
        cut_tiles(size, side, overlap, multiple)


@pytest.mark.parametrize(("size", "side", "overlap", "multiple"), CASES)
def test_parts_are_those_of_the_whole_bit_for_bit(size, side, overlap, multiple):
    tiles = cut_tiles(size, side, overlap, multiple)
    pieces = [torch.rand(2, 3, tile.bottom - tile.top, tile.right - tile.left) for tile in tiles]
    left = iter(zip(tiles, pieces))

    def work(tile):
        expected, piece = next(left)
        assert tile is expected
        return piece

    joined, covered = torch.zeros(2, 3, *size), torch.zeros(size)
    for top, left_edge, part in blend(tiles, work):
        box = (..., slice(top, top + part.shape[-2]), slice(left_edge, left_edge + part.shape[-1]))
        joined[box] = part
        covered[box] += 1

    whole = torch.zeros(2, 3, *size)
    for tile, piece in zip(tiles, pieces):
        add_tile(whole, piece, tile)
    assert torch.equal(joined, whole)
    assert covered.eq(1).all()


def test_parts_are_given_out_as_soon_as_no_tile_reaches_them():
    tiles = cut_tiles((40, 40), 16, 4)
    worked = []

    parts = blend(tiles, lambda tile: worked.append(tile) or torch.ones(16, 16))

    assert [(*next(parts)[:2], len(worked)) for _tile in range(4)] == [
        (0, 0, 1),
        (0, 12, 2),
        (0, 24, 3),
        (12, 0, 4),
    ]


@pytest.mark.parametrize(
    ("size", "pixels", "count"),
    [
        ((64, 64), 16 * 256, 16),
        ((640, 960), 16 * 256, 16),
        ((32, 48), 10**9, 6),  # no more than cover it
        ((8, 4000), 16 * 256, 32),
        ((4000, 8), 16 * 256, 32),
        ((64, 64), 1, 1),
    ],
)
def test_spread_tiles_are_a_sample_from_edge_to_edge(size, pixels, count):
    tiles = spread_tiles(size, 16, pixels, 8)

    assert 0.6 * count <= len(tiles) <= count
    assert len({(tile.bottom - tile.top, tile.right - tile.left) for tile in tiles}) == 1
    assert all(tile.top % 8 == tile.left % 8 == 0 for tile in tiles)
    assert len({tile[:4] for tile in tiles}) == len(tiles)
    if count > 1:
        assert (min(tile.top for tile in tiles), max(tile.bottom for tile in tiles)) == (0, size[0])
        assert (min(tile.left for tile in tiles), max(tile.right for tile in tiles)) == (0, size[1])


def test_a_single_spread_tile_lies_in_the_middle():
    (tile,) = spread_tiles((160, 160), 32, 1, 8)

    assert tile[:4] == (64, 64, 96, 96)
