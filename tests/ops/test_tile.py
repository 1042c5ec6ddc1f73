import pytest
import torch

from dino_ir.ops.tile import add_tile, cut_tiles, piece_of

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
