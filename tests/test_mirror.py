import pytest
import torch

from dino_ir.catalog import build
from dino_ir.contracts import View
from dino_ir.inference import restore
from dino_ir.mirror import Mirrored

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


def test_a_mirrored_photo_comes_back_as_the_mirrored_result(restorer):
    photo = torch.rand(1, 3, 40, 56)

    def shift(restorer):
        return (restore(restorer, photo.flip(-1)).flip(-1) - restore(restorer, photo)).abs().max()

    assert shift(restorer) > 0.01
    assert shift(Mirrored(restorer).eval()) < 0.02 * shift(restorer)  # rounding


def test_a_piece_is_the_mean_of_what_it_gives_and_of_what_its_mirror_image_gives_in_the_mirrored_photo(
    restorer,
):
    pieces, photos = torch.rand(4, 3, 16, 16), torch.rand(2, 3, 40, 40)
    box = torch.tensor(
        [[0.0, 0.1, 0.4, 0.5], [0.5, 0.6, 0.9, 1.0], [0.2, 0.0, 0.6, 0.4], [0.6, 0.3, 1.0, 0.7]]
    )
    with torch.inference_mode():
        described = restorer.look(photos)
        there = torch.stack([box[:, 0], 1 - box[:, 3], box[:, 2], 1 - box[:, 1]], dim=1)
        mirrored = restorer(pieces.flip(-1), View(described.flip(-1), there)).flip(-1)
        expected = (restorer(pieces, View(described, box)) + mirrored) / 2

        torch.testing.assert_close(Mirrored(restorer)(pieces, View(described, box)), expected)


def test_tiles_share_what_both_pool(restorer):
    photo = torch.rand(1, 3, 300, 420)

    whole = restore(Mirrored(restorer).eval(), photo, tile="off")
    tiles = restore(Mirrored(restorer).eval(), photo, tile=128)
    apart = (restore(restorer, photo, tile="off") - whole).abs().mean()

    assert (tiles - whole).abs().mean() < apart / 2
