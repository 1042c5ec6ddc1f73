import pytest
import torch
from torch import nn

from dino_ir.pools import Pooled, Pools


class Centred(nn.Module):
    """Takes the mean over pixels away."""

    def __init__(self):
        super().__init__()
        self.pooled = Pooled()

    def forward(self, x):
        return x - self.pooled(x.mean(dim=(2, 3), keepdim=True))


def pieces():
    return torch.rand(6, 3, 4, 5, generator=torch.Generator().manual_seed(0))


def test_a_mark_changes_nothing():
    x = pieces()

    torch.testing.assert_close(Centred()(x), x - x.mean(dim=(2, 3), keepdim=True), rtol=0, atol=0)
    assert not Centred().state_dict()


def test_pieces_are_measured_as_one_image_of_their_photo():
    layers = nn.Sequential(Centred(), nn.Tanh(), Centred())
    pools, x = Pools(layers), pieces()
    photos = x.unflatten(0, (2, 3)).permute(0, 2, 1, 3, 4).flatten(2, 3)  # the pieces one below the other

    with pools.measuring(3):
        measured = layers(x)

    expected = layers(photos).unflatten(2, (3, 4)).permute(0, 2, 1, 3, 4).flatten(0, 1)
    torch.testing.assert_close(measured, expected)


def test_what_was_measured_is_shared_with_any_number_of_pieces():
    layers = nn.Sequential(Centred(), nn.Tanh(), Centred())
    pools, x = Pools(layers), pieces()
    with pools.measuring(3):
        measured = layers(x)

    for rows in ([0, 1, 2, 3, 4, 5], [1, 4], [0, 2, 3, 5]):
        with pools.sharing():
            shared = layers(x[rows])
        torch.testing.assert_close(shared, measured[rows])


def test_afterwards_all_is_as_before():
    layers, x = Centred(), pieces()
    pools = Pools(layers)

    with pools.measuring(3):
        layers(x)
    with pytest.raises(RuntimeError), pools.sharing():
        raise RuntimeError

    torch.testing.assert_close(layers(x), x - x.mean(dim=(2, 3), keepdim=True), rtol=0, atol=0)


def test_what_marks_nothing_has_nothing_to_share():
    assert not Pools(nn.Conv2d(3, 3, 1))
    assert Pools(nn.Sequential(nn.Conv2d(3, 3, 1), Centred()))
