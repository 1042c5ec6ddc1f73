import pytest
import torch

from dino_ir.ops.components import colour_maps


def maps(count=2, channels=6):
    return list(torch.randn(count, channels, 5, 7, generator=torch.Generator().manual_seed(0)))


def test_equal_features_have_equal_colours_in_every_map():
    one, _ = maps()

    first, second = colour_maps([one, one.flip(2)])

    torch.testing.assert_close(first, second.flip(2))


def test_colours_fill_the_range_over_all_maps_together():
    colours = torch.stack(colour_maps(maps()))

    assert colours.shape == (2, 3, 5, 7)
    assert colours.amin(dim=(0, 2, 3)).tolist() == pytest.approx([0, 0, 0])
    assert colours.amax(dim=(0, 2, 3)).tolist() == pytest.approx([1, 1, 1])


def test_features_of_three_directions_come_back_as_they_were():
    weights = torch.tensor([3.0, 2.0, 1.0])[:, None, None]
    cloud = torch.randn(3, 30, 30, generator=torch.Generator().manual_seed(1)) * weights
    frame, _ = torch.linalg.qr(torch.randn(8, 3, generator=torch.Generator().manual_seed(2)))

    (colours,) = colour_maps([torch.einsum("ck, khw -> chw", frame, cloud)])

    for seen, true in zip(colours, cloud):
        correlation = torch.corrcoef(torch.stack([seen.flatten(), true.flatten()]))[0, 1]
        assert abs(correlation) > 0.99


def test_a_flat_map_is_no_error():
    (colours,) = colour_maps([torch.ones(4, 3, 3)])

    assert colours.isfinite().all()


def test_maps_may_have_different_sizes():
    small, large = colour_maps([torch.randn(4, 2, 3), torch.randn(4, 5, 6)])

    assert (small.shape, large.shape) == ((3, 2, 3), (3, 5, 6))
