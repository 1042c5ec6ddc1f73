import pytest
import torch

from dino_ir.ops.resample import resize
from dino_ir.ops.shrink import shrink, size_within


@pytest.mark.parametrize(("size", "small"), [((97, 60), (13, 20)), ((40, 33), (40, 33)), ((300, 7), (1, 1))])
@pytest.mark.parametrize("rows", [1, 8, 1000])
def test_strips_shrink_as_the_whole_does(size, small, rows):
    image = torch.rand(2, 3, *size)

    strips = ((top, image[..., top : top + rows, :]) for top in range(0, size[0], rows))

    torch.testing.assert_close(shrink(strips, size[0], small), resize(image, small), atol=2e-6, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (3000, 2000), (30000, 20)])
def test_a_size_within_keeps_the_shape_and_does_not_grow(size):
    height, width = size_within(size, pixels=10_000)

    assert 1 <= height <= size[0]
    assert 1 <= width <= size[1]
    if min(height, width) > 10:
        assert height * width <= 1.05 * 10_000
        assert height / width == pytest.approx(size[0] / size[1], rel=0.05)
    assert size[0] * size[1] > 10_000 or (height, width) == size
