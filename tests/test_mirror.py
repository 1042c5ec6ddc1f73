import pytest
import torch

from dino_ir import tiling
from dino_ir.catalog import build
from dino_ir.contracts import View
from dino_ir.inference import restore
from dino_ir.mirror import Mirrored
from dino_ir.networks.experts import Experts
from dino_ir.pools import Pools

NETWORK = {"name": "nafnet", "width": 8, "encoder": [1], "middle": 1, "decoder": [1]}
NETWORKS = [NETWORK, {"name": "experts", "expert": NETWORK, "count": 2}]


@pytest.fixture(params=NETWORKS, ids=lambda table: table["name"])
def restorer(request):
    torch.manual_seed(0)
    table = {"network": request.param, "prior": {"name": "patch_color"}, "side": 32}
    restorer = build("restorers", {"name": "dino_ir", **table})
    for parameter in restorer.parameters():  # gains begin at 0: nothing would be done
        torch.nn.init.normal_(parameter, std=0.1)
    return restorer.eval()


@pytest.fixture
def pieces():
    """Four pieces of each of two photos, each darker than the one before, and what is looked at."""
    return torch.rand(8, 3, 16, 16) * torch.linspace(1, 0.1, 8).view(-1, 1, 1, 1), torch.rand(2, 3, 40, 40)


BOX = torch.tensor([[0.0, 0.1, 0.4, 0.5], [0.5, 0.6, 0.9, 1.0], [0.2, 0.0, 0.6, 0.4], [0.6, 0.3, 1.0, 0.7]])
MIRRORED_BOX = torch.stack([BOX[:, 0], 1 - BOX[:, 3], BOX[:, 2], 1 - BOX[:, 1]], dim=1)


def test_a_mirrored_photo_comes_back_as_the_mirrored_result(restorer):
    photo = torch.rand(1, 3, 40, 56)

    def difference(other):
        return (restore(other, photo.flip(-1)).flip(-1) - restore(other, photo)).abs().max()

    assert difference(restorer) > 0.01
    assert difference(Mirrored(restorer)) < 1e-4


def test_a_piece_is_the_mean_of_its_own_result_and_its_mirror_images_in_the_mirrored_photo(restorer, pieces):
    degraded, photos = pieces
    box, there = BOX.repeat(2, 1), MIRRORED_BOX.repeat(2, 1)
    with torch.inference_mode():
        described = restorer.look(photos)
        mirrored = restorer(degraded.flip(-1), View(described.flip(-1), there)).flip(-1)
        expected = (restorer(degraded, View(described, box)) + mirrored) / 2

        torch.testing.assert_close(Mirrored(restorer)(degraded, View(described, box)), expected)


def test_pools_are_those_of_the_photo_and_those_of_its_mirror_image(restorer, pieces):
    degraded, photos = pieces

    def shared(restorer, degraded, described, box):
        """The first two pieces of each photo, with what all four pool."""
        pools, few = Pools(restorer), [0, 1, 4, 5]
        with torch.inference_mode():
            with pools.measuring(4):
                restorer(degraded, View(described, box))
            with pools.sharing():
                return restorer(degraded[few], View(described, box[few]))

    box, there = BOX.repeat(2, 1), MIRRORED_BOX.repeat(2, 1)
    described = restorer.look(photos)
    mirrored = shared(restorer, degraded.flip(-1), described.flip(-1), there).flip(-1)
    expected = (shared(restorer, degraded, described, box) + mirrored) / 2

    found = shared(Mirrored(restorer), degraded, described, box)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)
    with torch.inference_mode():
        alone = Mirrored(restorer)(degraded, View(described, box))[[0, 1, 4, 5]]
    assert (alone - expected).abs().max() > 2e-5  # so it is the pools that agree


def test_experts_are_mixed_once_for_a_photo_and_once_for_its_mirror_image(monkeypatch):
    monkeypatch.setattr(tiling, "_PIECE", 8)
    restorer = build("restorers", {"name": "plain", "network": NETWORKS[1]}).eval()
    mixed, original = [], Experts._mixed

    def counted(self, shares, starts=("",)):
        mixed.extend([starts] * len(shares) if starts == ("",) else [])
        return original(self, shares, starts)

    monkeypatch.setattr(Experts, "_mixed", counted)

    restore(Mirrored(restorer), torch.rand(3, 64, 64), tile=32)  # nine tiles

    assert len(mixed) == 4  # two while pools are measured, two for all tiles


def test_what_wants_the_whole_photo_gets_it_and_what_need_not_look_is_not_asked_to():
    classic = Mirrored(build("restorers", {"name": "dark_channel"}).eval())

    assert not classic.works_in_tiles
    assert not classic.needs_look
    assert not classic.training
