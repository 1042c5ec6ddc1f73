import pytest
import torch

from dino_ir.ops.fill import fill


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 2), (13, 30)])
def test_what_is_known_stays_and_holes_take_its_colour(size):
    known = torch.rand(1, *size) < 0.3
    known[0, 0, 0] = True
    image = torch.where(known, 0.25, torch.rand(3, *size))

    filled = fill(image, known)

    torch.testing.assert_close(filled, torch.full((3, *size), 0.25))


def test_what_lies_in_a_hole_does_not_matter():
    known = torch.rand(1, 20, 20) < 0.5
    one, other = (torch.where(known, torch.linspace(0, 1, 20), torch.rand(3, 20, 20)) for _ in range(2))

    assert torch.equal(fill(one, known), fill(other, known))


def test_a_hole_is_filled_from_its_nearer_side():
    image = torch.zeros(1, 8, 64)
    image[..., 32:] = 1
    known = torch.ones(1, 8, 64, dtype=torch.bool)
    known[..., 16:48] = False

    filled = fill(image, known)

    assert filled[..., 18].max() < 0.3
    assert filled[..., 45].min() > 0.7
    assert (filled[..., 1:] - filled[..., :-1]).abs().max() < 0.3


@pytest.mark.parametrize("value", [True, False])
def test_with_all_known_or_nothing_the_image_stays(value):
    image = torch.rand(3, 5, 4)

    assert torch.equal(fill(image, torch.full((1, 5, 4), value)), image)
