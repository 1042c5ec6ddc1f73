"""The whole system: prior, PSF, D-R adaption and fusion, network, DPC."""

import pytest
import torch

from dino_ir.catalog import build
from dino_ir.contracts import Batch, View
from dino_ir.errors import RecipeError

NETWORK = {"name": "nafnet", "width": 4, "encoder": [1, 1], "middle": 1, "decoder": [1, 1]}
TABLE = {
    "name": "dino_ir",
    "network": NETWORK,
    "prior": {"name": "dino_tiny", "width": 12, "depth": 3, "heads": 2, "layers": [0, 1, 2]},
    "feature_fusion": {"name": "pixel_semantic", "channels": 6},
    "side": 32,
    "contrast": {"blocks": [0, 1], "weights": [0.5, 1.0]},
}


def make(**changes):
    torch.manual_seed(0)
    return build("restorers", {**TABLE, **changes})


def wake(restorer):
    """Give the zero gains a value, so that the guide has something to say."""
    for parameter in restorer.parameters():
        if parameter.requires_grad and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.3)
    return restorer


def make_batch(photos=2, crops=2):
    clean = torch.rand(photos * crops, 3, 16, 16)
    box = torch.tensor([[0.0, 0.25, 0.5, 0.75]]).expand(photos * crops, 4)
    return Batch(
        (clean + 0.1 * torch.randn_like(clean)).clamp(0, 1), clean, torch.rand(photos, 3, 32, 32), box
    )


@pytest.mark.parametrize("view", ["whole", "grid"])
@pytest.mark.parametrize("level_fusion", ["adapt_and_fuse", "adapt_and_add", "none"])
def test_step_0_equals_the_unguided_network(view, level_fusion):
    guided = make(view=view, level_fusion={"name": level_fusion})
    plain = build("restorers", {"name": "plain", "network": NETWORK})
    plain.network.load_state_dict(guided.network.state_dict())
    degraded = torch.rand(1, 3, 32, 24)

    torch.testing.assert_close(guided(degraded), plain(degraded), rtol=0, atol=0)


@pytest.mark.parametrize("view", ["whole", "grid"])
def test_every_learned_parameter_gets_a_gradient_and_the_prior_none(view):
    restorer = wake(make(view=view)).train()

    sum(restorer.losses(make_batch(), step=0).values()).backward()

    learned = {name: p for name, p in restorer.named_parameters() if not name.startswith("prior.")}
    assert [name for name, p in learned.items() if p.grad is None or not p.grad.any()] == []
    assert all(p.grad is None for p in restorer.prior.parameters())


def test_the_guide_changes_what_is_restored_and_the_photo_is_what_guides():
    restorer = wake(make())
    degraded = torch.rand(1, 3, 16, 16)
    box = torch.tensor([[0.0, 0.0, 0.5, 0.5]])
    views = [View(restorer.look(torch.rand(1, 3, 60, 90)), box) for _ in range(2)]

    first, second = (restorer(degraded, view) for view in views)

    assert (first - second).abs().max() > 1e-5


def test_an_image_alone_is_its_own_photo():
    restorer = wake(make()).eval()
    photo = torch.rand(1, 3, 32, 48)
    whole = torch.tensor([[0.0, 0.0, 1.0, 1.0]])

    torch.testing.assert_close(
        restorer(photo), restorer(photo, View(restorer.look(photo), whole)), rtol=0, atol=0
    )


def test_what_the_prior_sees_has_the_same_cost_at_any_size():
    restorer = make()

    sizes = [restorer.look(torch.rand(1, 3, *size)).shape for size in ((40, 40), (400, 400), (1, 1))]

    assert sizes == [(1, 6, 2, 2)] * 3


def test_on_a_grid_the_maps_have_the_size_of_the_coarsest_features():
    restorer = make(view="grid")
    seen = []
    restorer.feature_fusion.register_forward_hook(lambda _module, _given, fused: seen.append(fused.shape))

    restorer(torch.rand(1, 3, 32, 24))

    assert restorer.look(torch.rand(1, 3, 32, 24)) is None
    assert seen == [(1, 6, 8, 6)]


def test_contrast_comes_when_the_recipe_says():
    restorer = make(contrast={**TABLE["contrast"], "start": 4, "every": 2})
    batch = make_batch()

    terms = [sorted(restorer.losses(batch, step)) for step in (3, 4, 5, 6)]

    assert terms == [["pixel"], ["contrast", "pixel"], ["pixel"], ["contrast", "pixel"]]


def test_readings_tell_the_gate_and_the_ratios():
    restorer = make()
    restorer.losses(make_batch(), step=0)

    readings = restorer.readings()

    assert sum(readings[f"gate_{i}"] for i in range(3)) == pytest.approx(1, abs=1e-6)
    assert 0 <= readings["ratio_p10"] <= readings["ratio_p50"] <= readings["ratio_p90"] <= 10


@pytest.mark.parametrize("feature_fusion", ["pixel_semantic", "concat", "weighted_sum"])
@pytest.mark.parametrize("level_fusion", ["adapt_and_fuse", "adapt_and_add", "none"])
def test_an_ablation_is_one_word(feature_fusion, level_fusion):
    restorer = make(feature_fusion={"name": feature_fusion}, level_fusion={"name": level_fusion})

    losses = restorer.losses(make_batch(), step=0)

    assert all(loss.isfinite() for loss in losses.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"view": "tile"}, 'view must be "whole" or "grid"'),
        ({"contrast": {"block": [1]}}, "contrast: .*unexpected keyword argument 'block'"),
        ({"feature_fusion": {"name": "psf"}}, "no 'psf' in fusion/"),
    ],
)
def test_mistakes_are_named(changes, message):
    with pytest.raises(RecipeError, match=message):
        make(**changes)


def test_parameters_of_the_papers_system():
    """29 681 222 with Restormer, ViT-B's channels and four places, where the gain is left out."""
    from dino_ir.fusion.adapt_and_fuse import AdaptAndFuse
    from dino_ir.fusion.pixel_semantic import PixelSemantic

    with torch.device("meta"):
        network = build("networks", {"name": "restormer"})
        parts = [network, PixelSemantic((768,) * 3), AdaptAndFuse(256, network.places, starts_at_zero=False)]

    assert sum(p.numel() for part in parts for p in part.parameters()) == 29_681_222
