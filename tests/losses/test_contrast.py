"""Equation 6 of DINO-IR."""

import pytest
import torch

from dino_ir.catalog import build
from dino_ir.losses.contrast import PriorContrast, contrast_ratio


@pytest.fixture
def prior():
    return build("priors", {"name": "patch_color"})


@pytest.fixture
def clean():
    return torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))


LOSS = PriorContrast(blocks=(0,), weights=(1.0,))


def total(prior, restored, clean, degraded):
    return LOSS.combine(LOSS.ratios(prior, restored, clean, degraded))


def test_zero_at_the_clean_image(prior, clean):
    assert total(prior, clean, clean, clean.flip(-1)).item() == 0


def test_finite_at_the_degraded_image_and_where_nothing_was_damaged(prior, clean):
    degraded = clean.flip(-1).requires_grad_()
    loss = total(prior, degraded, clean, degraded.detach())
    loss.backward()

    assert loss.item() == pytest.approx(LOSS.limit)
    assert degraded.grad is not None
    assert degraded.grad.isfinite().all()
    assert total(prior, clean, clean, clean).item() == 0


def test_ratio_of_known_distances():
    anchor, positive, negative = (torch.full((1, 2, 3, 3), value) for value in (0.5, 0.4, 0.9))

    assert contrast_ratio(anchor, positive, negative, limit=10).item() == pytest.approx(0.1 / 0.4)
    assert contrast_ratio(anchor, negative, positive, limit=10).item() == pytest.approx(4.0)
    assert contrast_ratio(anchor, negative, positive, limit=3).item() == pytest.approx(3.0)


def test_falls_under_gradient_descent(prior, clean):
    degraded = clean.flip(-1)
    restored = (0.6 * degraded + 0.4 * clean).requires_grad_()
    first = total(prior, restored, clean, degraded)

    for _ in range(20):
        (gradient,) = torch.autograd.grad(total(prior, restored, clean, degraded), restored)
        restored = (restored - 2 * gradient).detach().requires_grad_()

    assert total(prior, restored, clean, degraded) < 0.8 * first


def test_only_the_restored_image_gets_a_gradient(prior, clean):
    restored, positive, negative = (clean.roll(i, -1).requires_grad_() for i in (1, 0, 2))

    total(prior, restored, positive, negative).backward()

    assert restored.grad is not None
    assert positive.grad is None
    assert negative.grad is None


def test_comes_from_its_first_step_on_and_then_every_so_often():
    loss = PriorContrast(start=10, every=4)

    assert [step for step in range(20) if loss.is_due(step)] == [10, 14, 18]


@pytest.mark.parametrize(
    "options", [{"blocks": (0, 1)}, {"blocks": (), "weights": ()}, {"limit": 0}, {"every": 0}]
)
def test_refuses_options_that_do_not_fit(options):
    with pytest.raises(ValueError, match="contrast needs"):
        PriorContrast(**options)


def test_features_in_half_precision_are_subtracted_in_full():
    anchor, positive, negative = (
        torch.full((1, 2, 3, 3), value, dtype=torch.bfloat16) for value in (300.0, 1.0078125, 600.0)
    )

    ratio = contrast_ratio(anchor, positive, negative, limit=10).item()

    assert ratio == pytest.approx((300 - 1.0078125) / 300, rel=1e-6)
