from copy import deepcopy
from pathlib import Path

import pytest
import torch

from dino_ir.catalog import build
from dino_ir.contracts import Batch, Learner
from dino_ir.errors import RecipeError, TrainingError
from dino_ir.recipe import Recipe
from dino_ir.run_state import State

NETWORK = {"name": "nafnet", "width": 4, "encoder": [1], "middle": 1, "decoder": [1]}
TABLE = {
    "restorer": {"name": "plain", "network": NETWORK},
    "phase": [{"steps": 4, "lr": 1e-3}, {"steps": 4, "lr": [1e-3, 0.0]}],
    "data": [{"dataset": {"name": "clean_folder", "root": "photos"}}],
    "precision": "fp32",
}


class Slope(Learner):
    """One weight, and a loss that falls by its gradient, 3, for each unit of it."""

    def __init__(self, value=0.0):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([value]))

    def losses(self, batch, step):
        return {"slope": -3 * self.weight.sum()}


class Root(Learner):
    """The root of a square: at 0 it is 0, and its gradient is 0 / 0."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(2))

    def losses(self, batch, step):
        return {"root": self.weight.square().sum().sqrt()}


def make(learner=None, **changes):
    torch.manual_seed(0)
    recipe = Recipe.parse({**TABLE, **changes}, "test")
    return State(recipe, (learner or build("restorers", recipe.restorer)).train())


def make_batch(seed=0):
    clean = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    return Batch(clean * 0.8, clean)


def test_only_what_is_named_learns():
    state = make(learns=["network.encoder", "network.to_image.bias"])
    before = deepcopy(state.learner.state_dict())

    for _ in range(2):
        state.advance(make_batch(), "cpu")

    changed = {
        name for name, value in state.learner.state_dict().items() if not torch.equal(value, before[name])
    }
    named = {
        name for name in before if name.startswith("network.encoder.") or name == "network.to_image.bias"
    }
    assert changed <= named == set(state.parameters)
    assert {"network.to_image.bias", "network.encoder.0.0.mix.gain"} <= changed


def test_what_cannot_learn_is_not_named():
    with pytest.raises(RecipeError, match=r"nothing of 'net' can learn; what can: network"):
        make(learns=["net"])


def test_a_run_from_before_a_key_was_known_goes_on():
    state = make()
    saved = state.dump()
    del saved["recipe"]["learns"]

    make().resume(saved, Path("checkpoint.pt"))
    with pytest.raises(TrainingError, match="another learns"):
        make(learns=["network"]).resume(saved, Path("checkpoint.pt"))


def test_a_step_tells_its_losses_its_gradient_and_its_rate():
    state = make()

    values = [state.advance(make_batch(), "cpu") for _ in range(6)]

    assert state.step == 6
    assert values[0].keys() >= {"pixel", "gradient", "lr"}
    assert [value["lr"] for value in values[:5]] == [1e-3] * 5
    assert values[5]["lr"] == pytest.approx(state.recipe.phase[1].lr_at(1))


def test_the_first_step_of_adam_is_as_long_as_the_learning_rate():
    state = make(Slope())

    values = state.advance(make_batch(), "cpu")

    assert state.learner.weight.item() == pytest.approx(1e-3, rel=1e-4)
    assert values["gradient"] == pytest.approx(3.0)


def test_the_average_of_a_young_run_is_short():
    state = make(Slope(1.0), average=0.999)

    state.advance(make_batch(), "cpu")

    moved = state.learner.weight.item() - 1.0
    assert state.average["weight"].item() == pytest.approx(1.0 + 0.9 * moved, abs=1e-6)  # keeps 1 / 10


def test_an_average_of_0_is_the_last_step():
    state = make(average=0.0)

    state.advance(make_batch(), "cpu")

    for name, parameter in state.parameters.items():
        torch.testing.assert_close(state.average[name], parameter.detach(), rtol=0, atol=0)


def test_the_averaged_weights_are_lent_and_the_learned_ones_put_back():
    state = make()
    for _ in range(3):
        state.advance(make_batch(), "cpu")
    learned = {name: p.detach().clone() for name, p in state.parameters.items()}

    with state.averaged():
        inside = {name: p.detach().clone() for name, p in state.parameters.items()}
        assert not state.learner.training

    assert state.learner.training
    torch.testing.assert_close(inside, state.average, rtol=0, atol=0)
    torch.testing.assert_close(dict(state.parameters), learned, rtol=0, atol=0)
    assert any(not torch.equal(inside[name], learned[name]) for name in learned)


def test_a_resumed_state_takes_the_very_same_step():
    first, second = make(), make()
    first.advance(make_batch(0), "cpu")

    second.resume(deepcopy(first.dump()), Path("checkpoint.pt"))

    assert first.advance(make_batch(1), "cpu") == second.advance(make_batch(1), "cpu")
    torch.testing.assert_close(dict(first.parameters), dict(second.parameters), rtol=0, atol=0)
    torch.testing.assert_close(first.average, second.average, rtol=0, atol=0)


def test_another_recipe_is_not_resumed():
    with pytest.raises(TrainingError, match=r"checkpoint\.pt is of a run with another seed:"):
        make().resume(make(seed=1).dump(), Path("checkpoint.pt"))


def test_a_loss_that_is_not_finite_changes_nothing():
    state = make()
    before = {name: p.detach().clone() for name, p in state.parameters.items()}

    with pytest.raises(TrainingError, match=r"step 0: the loss is not finite \(pixel nan\)"):
        state.advance(Batch(make_batch().degraded * torch.nan, make_batch().clean), "cpu")

    assert state.step == 0
    torch.testing.assert_close(dict(state.parameters), before, rtol=0, atol=0)


def test_a_gradient_that_is_not_finite_changes_nothing():
    state = make(Root())

    with pytest.raises(TrainingError, match=r"step 0: the gradient is not finite \(root 0\)"):
        state.advance(make_batch(), "cpu")

    assert state.step == 0
    assert state.learner.weight.tolist() == [0, 0]
    assert not any(optimizer.state for optimizer in state.optimizers)


def test_a_device_may_have_a_number():
    values = make(precision="bf16").advance(make_batch(), "cpu:0")

    assert values["pixel"] > 0


def test_a_learner_that_needs_whole_batches_is_refused_on_several_processes(monkeypatch):
    monkeypatch.setattr("dino_ir.run_state.number_of_processes", lambda: 2)
    learner = Slope()
    learner.splits_batches = False

    with pytest.raises(TrainingError, match="Slope needs whole batches: train it on one process"):
        make(learner)
