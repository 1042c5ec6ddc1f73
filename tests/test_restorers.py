"""What every restorer that learns promises."""

import pytest
import torch

from dino_ir.catalog import build
from dino_ir.contracts import Batch
from dino_ir.files.weights import learned, write_weights
from dino_ir.inference import load

NETWORK = {"name": "nafnet", "width": 8, "encoder": [1], "middle": 1, "decoder": [1]}
TABLES = {
    "plain": {"name": "plain", "network": NETWORK},
    "dino_ir": {
        "name": "dino_ir",
        "network": NETWORK,
        "prior": {"name": "patch_color"},
        "feature_fusion": {"name": "pixel_semantic", "channels": 4},
        "side": 32,
    },
}
TABLES["experts"] = {**TABLES["dino_ir"], "network": {"name": "experts", "expert": NETWORK, "count": 2}}


@pytest.fixture(params=TABLES)
def table(request):
    return TABLES[request.param]


def test_loss_falls_by_a_fifth_in_40_steps_on_one_batch(table):
    torch.manual_seed(0)
    restorer = build("restorers", table).train()
    clean = torch.rand(2, 3, 8, 8).repeat_interleave(4, 2).repeat_interleave(4, 3)
    batch = Batch((clean + 0.2 * torch.randn_like(clean)).clamp(0, 1), clean)
    optimizer = torch.optim.AdamW([p for p in restorer.parameters() if p.requires_grad], lr=5e-3)

    history = []
    for step in range(40):
        loss = sum(restorer.losses(batch, step).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())

    assert history[-1] < 0.8 * history[0]


def test_weight_file_round_trip_gives_the_same_restorer(table, tmp_path):
    restorer = build("restorers", table)
    halved = {key: value.half().float() for key, value in learned(restorer).items()}
    restorer.load_state_dict(halved, strict=False)
    write_weights(tmp_path / "weights.safetensors", restorer, {"restorer": table})

    loaded = load(tmp_path / "weights.safetensors", device="cpu")

    photo = torch.rand(1, 3, 16, 24)
    torch.testing.assert_close(loaded(photo), restorer.eval()(photo), rtol=0, atol=0)
