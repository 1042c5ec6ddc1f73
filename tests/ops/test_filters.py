import pytest
import torch
from torch.nn import functional as F

from dino_ir.ops.filters import cubic_weights, triangle_weights
from dino_ir.ops.resample import resize

SIZES = [(12, 7), (5, 40), (1, 1), (24, 3), (33, 37), (400, 5)]


def resized(image, rows, columns):
    return rows @ image @ columns.T


@pytest.mark.parametrize("size", SIZES)
def test_the_triangle_is_that_of_resize(size):
    image = torch.rand(1, 3, 12, 20)

    ours = resized(image, triangle_weights(size[0], 12), triangle_weights(size[1], 20))

    torch.testing.assert_close(ours, resize(image, size), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_the_cubic_is_that_of_torch(size, antialias):
    image = torch.rand(1, 3, 12, 20)

    ours = resized(
        image,
        cubic_weights(size[0], 12, antialias=antialias),
        cubic_weights(size[1], 20, antialias=antialias),
    )

    expected = F.interpolate(image, size, mode="bicubic", antialias=antialias)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


def test_an_offset_changes_the_step():
    image = torch.rand(1, 1, 37, 37)

    ours = resized(image, *(cubic_weights(count, 37, 0.1, antialias=False) for count in (16, 50)))

    expected = F.interpolate(image, scale_factor=(16.1 / 37, 50.1 / 37), mode="bicubic")
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "weights",
    [triangle_weights(9, 4), cubic_weights(4, 9), cubic_weights(4, 9, 0.1, False)],
    ids=["triangle", "cubic", "sharp cubic"],
)
def test_weights_sum_to_one(weights):
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(len(weights)))


def test_many_cells_become_few_exactly():
    """Torch places samples in float32; over long sides its filters are off by more than these."""
    ramp = torch.arange(4096, dtype=torch.float64) / 4096

    halved = triangle_weights(2048, 4096).double() @ ramp

    torch.testing.assert_close(halved[1:-1], ramp.view(-1, 2).mean(dim=1)[1:-1], rtol=1e-6, atol=1e-7)
