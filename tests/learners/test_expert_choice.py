import pytest
import torch

from dino_ir.catalog import build
from dino_ir.contracts import Batch
from dino_ir.errors import RecipeError

NAFNET = {"name": "nafnet", "width": 4, "encoder": [1], "middle": 1, "decoder": [1]}
RESTORER = {"name": "plain", "network": {"name": "experts", "expert": NAFNET, "count": 2}, "pixel": "psnr"}


@pytest.fixture
def learner():
    """One expert darkens, one brightens."""
    torch.manual_seed(0)
    learner = build("learners", {"name": "expert_choice", "restorer": RESTORER})
    for expert, change in zip(learner.product().network.experts, (-0.1, 0.1)):
        torch.nn.init.constant_(expert.to_image.bias, change)
        torch.nn.init.zeros_(expert.to_image.weight)
    return learner


@pytest.fixture
def batch():
    """Smooth photos have become too bright, rough ones too dark."""
    rng = torch.Generator().manual_seed(0)
    smooth = torch.full((2, 3, 16, 16), 0.5)
    rough = 0.5 + 0.1 * torch.randn(2, 3, 16, 16, generator=rng)
    return Batch(torch.cat([smooth, rough]), torch.cat([smooth - 0.1, rough + 0.1]))


def test_at_first_the_loss_is_that_of_a_guess(learner, batch):
    losses = learner.losses(batch, 0)

    assert losses["choice"].item() == pytest.approx(torch.tensor(2.0).log().item(), abs=1e-5)


def test_the_gate_alone_learns_to_ask_the_expert_that_does_best(learner, batch):
    before = {name: weight.clone() for name, weight in learner.named_parameters()}
    optimizer = torch.optim.Adam([p for p in learner.parameters() if p.requires_grad], lr=1e-2)

    for step in range(60):
        loss = learner.losses(batch, step)["choice"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    network = learner.product().network
    assert [round(network.shares(photo)[0].item()) for photo in batch.degraded.split(1)] == [1, 1, 0, 0]
    assert learner.readings() == {"agreement": 1.0}
    changed = {name for name, weight in learner.named_parameters() if not torch.equal(weight, before[name])}
    assert changed
    assert all(name.startswith("restorer.network.gate.") for name in changed)


@pytest.mark.parametrize(("better", "share"), [(0.3, 0.731), (0.6, 0.881)])
def test_an_expert_better_by_the_temperature_is_to_have_e_times_the_share(learner, batch, better, share):
    """The gate's loss is least, of all shares there are, at those that are wanted."""
    learner._decibels = lambda _batch: torch.tensor([[30 + better, 30.0]])
    network = learner.product().network
    losses = {}
    for given in torch.linspace(0.01, 0.99, 981).tolist():
        network.gate.forward = lambda _features, given=given: torch.tensor([given, 1 - given])
        losses[given] = learner.losses(Batch(batch.degraded[:1], batch.clean[:1]), 0)["choice"].item()

    assert min(losses, key=lambda given: losses[given]) == pytest.approx(share, abs=2e-3)


def test_an_expert_that_fails_leaves_all_as_it_was(learner, batch, monkeypatch):
    network = learner.product().network
    monkeypatch.setattr(network.experts[1], "forward", None)

    with pytest.raises(TypeError):
        learner.losses(batch, 0)

    assert learner.product().network is network


def test_a_guided_restorer_is_taught_too(batch):
    table = {**RESTORER, "name": "dino_ir", "prior": {"name": "patch_color"}, "side": 32}
    learner = build("learners", {"name": "expert_choice", "restorer": table})

    learner.losses(batch, 0)["choice"].backward()

    assert learner.product().network.gate.judge[-1].bias.grad is not None


def test_its_product_is_the_restorer_with_its_experts(learner, batch):
    network = learner.product().network
    learner.losses(batch, 0)

    assert learner.product().network is network


def test_a_restorer_without_experts_has_no_choice():
    plain = {"name": "plain", "network": NAFNET}
    with pytest.raises(RecipeError, match="expert_choice teaches a restorer whose network is experts"):
        build("learners", {"name": "expert_choice", "restorer": plain})


@pytest.mark.parametrize("temperature", [0, -1.0])
def test_a_temperature_is_above_0(temperature):
    table = {"name": "expert_choice", "restorer": RESTORER, "temperature": temperature}
    with pytest.raises(RecipeError, match="temperature must be above 0 dB"):
        build("learners", table)
