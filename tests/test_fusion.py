"""What every fusion promises, over the whole shelf."""

import pytest
import torch

from dino_ir.catalog import find, names
from dino_ir.contracts import FeatureFusion, LevelFusion, Place, View

PLACES = (Place(channels=8, stride=2, heads=2), Place(channels=4, stride=1, heads=1))
VIEW = View(torch.rand(2, 6, 3, 4), torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(2, 4))
FEATURE_FUSIONS = [name for name in names("fusion") if issubclass(find("fusion", name), FeatureFusion)]
LEVEL_FUSIONS = [name for name in names("fusion") if issubclass(find("fusion", name), LevelFusion)]


def test_every_fusion_keeps_one_of_the_two_contracts():
    assert sorted(FEATURE_FUSIONS + LEVEL_FUSIONS) == names("fusion")


@pytest.mark.parametrize("name", FEATURE_FUSIONS)
@pytest.mark.parametrize("layers", [1, 3])
def test_features_become_one_map(name, layers):
    fuse = find("fusion", name)(prior_channels=(6,) * layers)

    assert fuse([torch.rand(2, 6, 3, 4)] * layers).shape == (2, fuse.channels, 3, 4)


@pytest.mark.parametrize("name", LEVEL_FUSIONS)
def test_a_level_keeps_its_shape_and_starts_unguided(name):
    fuse = find("fusion", name)(channels=6, places=PLACES)

    for place, (channels, _, _) in enumerate(PLACES):
        features = torch.rand(2, channels, 6, 8)
        torch.testing.assert_close(fuse(place, features, VIEW), features, rtol=0, atol=0)


@pytest.mark.parametrize("name", LEVEL_FUSIONS)
def test_a_box_from_right_to_left_guides_mirrored_features(name):
    torch.manual_seed(0)
    fuse = find("fusion", name)(channels=6, places=PLACES)
    for parameter in fuse.parameters():  # gains begin at 0
        torch.nn.init.normal_(parameter)
    box = torch.tensor([[0.1, 0.2, 0.7, 0.9], [0.0, 0.0, 1.0, 0.5]])

    for place, (channels, _, _) in enumerate(PLACES):
        features = torch.rand(2, channels, 6, 8)
        guided = fuse(place, features, View(VIEW.map, box))
        mirrored = fuse(place, features.flip(-1), View(VIEW.map, box[:, [0, 3, 2, 1]]))
        torch.testing.assert_close(mirrored, guided.flip(-1))
