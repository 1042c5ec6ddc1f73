import numpy as np
import pytest
import torch

from dino_ir.ops.pad import crop_to, pad_to_multiple

SIZES = [(1, 1), (1, 50), (50, 1), (7, 16), (16, 16), (13, 21)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("multiple", [1, 2, 8, 16])
def test_sides_divide_and_the_image_stays(size, multiple):
    image = torch.rand(2, 3, *size)

    padded = pad_to_multiple(image, multiple)

    assert all(0 <= after - before < multiple for after, before in zip(padded.shape[-2:], size))
    assert all(side % multiple == 0 for side in padded.shape[-2:])
    assert torch.equal(crop_to(padded, size), image)


def test_the_border_mirrors_the_image():
    image = torch.rand(3, 6, 7)

    padded = pad_to_multiple(image, 8)

    expected = np.pad(image.numpy(), [(0, 0), (0, 2), (0, 1)], mode="reflect")
    np.testing.assert_array_equal(padded.numpy(), expected)


def test_a_side_too_short_to_mirror_repeats_its_edge():
    image = torch.rand(3, 2, 7)

    padded = pad_to_multiple(image, 8)

    expected = np.pad(image.numpy(), [(0, 0), (0, 6), (0, 0)], mode="edge")
    expected = np.pad(expected, [(0, 0), (0, 0), (0, 1)], mode="reflect")
    np.testing.assert_array_equal(padded.numpy(), expected)
