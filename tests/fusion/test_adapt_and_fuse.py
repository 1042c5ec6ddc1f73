"""Equation 5 of DINO-IR."""

import math

import pytest
import torch
import torch.nn.functional as F

from dino_ir.contracts import Place, View
from dino_ir.fusion.adapt_and_fuse import AdaptAndFuse

PLACES = (Place(channels=8, stride=2, heads=2), Place(channels=4, stride=1, heads=1))
WHOLE = torch.tensor([[0.0, 0.0, 1.0, 1.0]])


@pytest.fixture
def fuse():
    torch.manual_seed(0)
    fuse = AdaptAndFuse(channels=6, places=PLACES)
    for gain in fuse.gain:
        gain.data.fill_(1.0)
    return fuse


def test_matches_the_equation_written_plainly(fuse):
    features, maps = torch.randn(1, 8, 6, 7), torch.randn(1, 6, 3, 4)

    adapted = F.interpolate(fuse.adapt[0](maps), (6, 7), mode="bilinear")
    query, key = fuse.to_query[0](adapted)[0].flatten(1), fuse.to_key[0](features)[0].flatten(1)
    value = features[0].flatten(1)
    expected = torch.cat(
        [
            torch.softmax(F.normalize(query[rows], dim=1) @ F.normalize(key[rows], dim=1).T, dim=1)
            @ value[rows]
            for rows in (slice(0, 4), slice(4, 8))
        ]
    )

    torch.testing.assert_close(fuse(0, features, View(maps, WHOLE))[0].flatten(1), expected + value)


def test_the_papers_scale_is_the_equation_by_the_letter():
    fuse = AdaptAndFuse(channels=6, places=PLACES, starts_at_zero=False, scale="paper")
    features, maps = torch.randn(1, 4, 6, 7), torch.randn(1, 6, 3, 4)

    adapted = F.interpolate(fuse.adapt[1](maps), (6, 7), mode="bilinear")
    query, key = fuse.to_query[1](adapted)[0].flatten(1), fuse.to_key[1](features)[0].flatten(1)
    expected = torch.softmax(query @ key.T / 2, dim=1) @ features[0].flatten(1)  # the root of 4 channels is 2

    steered = fuse(1, features, View(maps, WHOLE))
    torch.testing.assert_close(steered[0].flatten(1), expected + features[0].flatten(1))
    assert not any("temperature" in name for name, _ in fuse.named_parameters())


def test_unit_vectors_alone_weigh_channels_almost_alike_and_a_temperature_tells_them_apart():
    def evenness(temperature):
        torch.manual_seed(0)
        fuse = AdaptAndFuse(channels=6, places=PLACES, temperature=temperature)
        tokens, view = torch.randn(4, 6, 7, 8), View(torch.randn(4, 6, 3, 4), WHOLE.expand(4, 4))
        attention = fuse.attention(0, tokens, view)
        return torch.special.entr(attention).sum(dim=-1).mean() / math.log(4)

    # Products of unit vectors lie within 1 of 0, so no weight is more than e^2 times another.
    assert evenness(1.0) > 0.95
    assert evenness(16.0) < 0.8


def test_an_unknown_scale_is_refused():
    with pytest.raises(ValueError, match='scale must be "learned" or "paper", got \'root\''):
        AdaptAndFuse(channels=6, places=PLACES, scale="root")


def test_attention_rows_sum_to_one(fuse):
    attention = fuse.attention(0, torch.randn(2, 6, 7, 8), View(torch.randn(2, 6, 3, 4), WHOLE.expand(2, 4)))

    assert attention.shape == (2, 2, 4, 4)
    torch.testing.assert_close(attention.sum(dim=-1), torch.ones(2, 2, 4))


@pytest.mark.parametrize("place", range(2))
def test_starts_as_the_unguided_network(place):
    features = torch.randn(1, PLACES[place].channels, 6, 7)

    steered = AdaptAndFuse(channels=6, places=PLACES)(place, features, View(torch.randn(1, 6, 3, 4), WHOLE))

    torch.testing.assert_close(steered, features, rtol=0, atol=0)


def test_resolution_does_not_change_it(fuse):
    """The same features tiled twice in both directions give the same result, tiled."""
    features, maps = torch.randn(1, 8, 6, 6), torch.randn(1, 6, 6, 6)

    small = fuse(0, features, View(maps, WHOLE))
    large = fuse(0, features.tile(1, 1, 2, 2), View(maps.tile(1, 1, 2, 2), WHOLE))

    torch.testing.assert_close(large, small.tile(1, 1, 2, 2), rtol=0, atol=1e-4)


def test_a_tile_sees_its_part_of_the_map(fuse):
    features, maps = torch.randn(1, 4, 4, 4), torch.randn(1, 6, 8, 8)

    in_its_place = fuse(1, features, View(maps, torch.tensor([[0.5, 0.0, 1.0, 0.5]])))
    on_its_own = fuse(1, features, View(maps[..., 4:, :4], WHOLE))

    torch.testing.assert_close(in_its_place, on_its_own, rtol=0, atol=1e-5)


def test_crops_of_one_photo_share_its_map(fuse):
    features, maps, boxes = torch.randn(4, 8, 6, 7), torch.randn(2, 6, 3, 4), torch.rand(4, 4).sort().values

    shared = fuse(0, features, View(maps, boxes))
    own = fuse(0, features, View(maps.repeat_interleave(2, dim=0), boxes))

    torch.testing.assert_close(shared, own)


def test_every_parameter_learns(fuse):
    view = View(torch.randn(1, 6, 3, 4), WHOLE)
    parts = [fuse(place, torch.randn(1, PLACES[place].channels, 6, 7), view) for place in range(2)]

    sum(part.square().sum() for part in parts).backward()

    assert [name for name, p in fuse.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_parameters_at_the_papers_scale():
    """602 895 in the four places of Restormer, counted by hand; the paper's letter has no gain."""
    places = [Place(384, 8, 8), Place(192, 4, 4), Place(96, 2, 2), Place(96, 1, 1)]

    fuse = AdaptAndFuse(channels=256, places=places, starts_at_zero=False)

    assert sum(p.numel() for p in fuse.parameters()) == 602_895
