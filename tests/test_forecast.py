import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from dino_ir import forecast as forecasts
from dino_ir.contracts import Network
from dino_ir.forecast import forecast, foresee, matrix_rate, missing_weights
from dino_ir.networks.restormer import Restormer
from dino_ir.recipe import Recipe

NETWORK = {"name": "nafnet", "width": 4, "encoder": [1], "middle": 1, "decoder": [1]}
DATA = [{"dataset": {"name": "clean_folder", "root": "photos"}}]


def make_recipe(restorer=None, precision="fp32", **phase):
    phases = [{"steps": 10, "batch": 2, "crop": 32, **phase}]
    table = {"restorer": restorer or {"name": "plain", "network": NETWORK}, "precision": precision}
    return Recipe.parse({**table, "phase": phases, "data": DATA}, "test")


def one(*args, **options):
    (foreseen,) = forecast(make_recipe(*args, **options))
    return foreseen


class Chain(Network):
    """Two convolutions in a row: what a step of them takes can be counted by hand."""

    multiple_of, places, tile_side = 1, (), 64

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.Conv2d(8, 3, 1, bias=False)

    def forward(self, degraded):
        return self.last(self.first(degraded))


@pytest.fixture
def chain(monkeypatch):
    from dino_ir.restorers.plain import Plain

    monkeypatch.setattr(forecasts, "build", lambda _shelf, _table: Plain(Chain()))


def test_operations_are_those_of_the_products(chain):
    pixels, first, last = 2 * 32 * 32, 3 * 9 * 8, 8 * 3

    # Forward, and for the gradients of weights and of what came in; the degraded image wants none.
    assert one().flops == 2 * pixels * (2 * first + 3 * last)


def test_what_is_held_is_each_weight_with_its_average_and_two_moments(chain):
    assert one().held == 4 * 4 * (3 * 9 * 8 + 8 * 3)


def test_the_peak_holds_at_least_what_the_backward_pass_reads(chain):
    pixels = 2 * 32 * 32
    least, most = 4 * pixels * (3 + 3 + 8 + 3), 4 * pixels * 60

    assert least < one().peak < most


def test_depthwise_convolutions_are_not_taken_for_full_ones():
    network = {"name": "restormer", "dim": 16, "depths": [1, 1], "heads": [1, 2], "refine": 1}
    restorer = {"name": "plain", "network": network}
    macs = 0

    def count(module, given, result):
        nonlocal macs
        macs += result[0].numel() * module.weight[0].numel()

    torch.manual_seed(0)
    built = Restormer(**{key: value for key, value in network.items() if key != "name"})
    for module in built.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    built(torch.rand(1, 3, 32, 32))

    # Convolutions dominate; attention across channels and the products' own shapes make the rest.
    assert 2 * 3 * 2 * macs * 0.7 < one(restorer).flops < 2 * 3 * 2 * macs * 1.5


def test_more_photos_take_in_proportion():
    little, much = one(batch=2), one(batch=8)

    assert much.held == little.held
    assert much.flops == 4 * little.flops
    assert much.peak == pytest.approx(4 * little.peak, rel=0.1)


def test_half_precision_takes_less():
    assert one(precision="bf16", batch=8).peak < 0.8 * one(batch=8).peak


def test_the_steps_with_the_contrast_are_foreseen():
    guided = {
        "name": "dino_ir",
        "network": NETWORK,
        "prior": {"name": "patch_color"},
        "feature_fusion": {"name": "pixel_semantic", "channels": 4},
        "side": 32,
    }
    contrast = {"blocks": [0], "weights": [1.0], "start": 5_000, "every": 7}

    assert one({**guided, "contrast": contrast}).peak > one(guided).peak


def test_nothing_is_computed_so_that_size_does_not_matter():
    large = {"name": "plain", "network": {"name": "restormer", "dim": 480}}

    assert one(large, crop=128, batch=64).memory > 2**40


GUIDED = {
    "name": "dino_ir",
    "network": NETWORK,
    "prior": {"name": "dinov2", "size": "small", "weights": "missing.pth"},
    "view": "grid",
}


def test_lines_tell_parameters_and_what_does_not_fit(monkeypatch):
    monkeypatch.setattr(forecasts, "matrix_rate", lambda *_: 1e9)
    monkeypatch.setattr(forecasts, "_memory_of", lambda _: 2**20)

    first, phase = foresee(make_recipe(GUIDED), "cpu")

    assert "parameters to train beside 22,056,576 frozen ones, 10 steps" in first
    assert ", more than the 0 GiB here; " in phase
    assert phase.endswith(" hours for 10 steps")
    assert "e+" not in phase


def test_what_a_recipe_does_not_let_learn_is_frozen(monkeypatch):
    monkeypatch.setattr(forecasts, "matrix_rate", lambda *_: 1e9)
    recipe = replace(make_recipe(), learns=["network.to_image.bias"])

    first, _phase = foresee(recipe, "cpu")

    assert first.startswith("3 parameters to train")
    assert forecast(recipe)[0].held < one().held


def test_priors_without_weights_are_named():
    assert missing_weights(make_recipe()) == []
    (missing,) = missing_weights(make_recipe(GUIDED))
    assert "missing.pth" in missing


def test_the_rate_of_products_is_a_plausible_one():
    assert 1e8 < matrix_rate("cpu", "fp32", seconds=0.01) < 1e16


def test_a_system_that_does_not_tell_its_memory_has_enough(monkeypatch):
    monkeypatch.delattr(forecasts.os, "sysconf", raising=False)

    assert forecasts._memory_of("cpu") == math.inf
