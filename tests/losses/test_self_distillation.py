import math

import pytest
import torch
from torch.nn import functional as F

from dino_ir.losses.self_distillation import agreement, balance, spread


def test_shares_are_balanced():
    cosines = torch.rand(24, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1

    shares = balance(cosines, temperature=0.5, rounds=50)

    torch.testing.assert_close(shares.sum(dim=1), torch.ones(24))
    torch.testing.assert_close(shares.sum(dim=0), torch.full((8,), 24 / 8))


def test_rows_sum_to_one_after_few_rounds_of_extreme_scores():
    cosines = torch.where(torch.eye(6, 40, dtype=torch.bool), 1.0, -1.0)

    shares = balance(cosines, temperature=0.02)

    torch.testing.assert_close(shares.sum(dim=1), torch.ones(6))


def test_teacher_that_favours_one_prototype_is_overruled():
    cosines = torch.zeros(8, 4)
    cosines[:, 0] = 1.0

    shares = balance(cosines)

    torch.testing.assert_close(shares, torch.full((8, 4), 0.25))


def test_clear_and_balanced_choices_are_kept():
    cosines = torch.eye(4)

    shares = balance(cosines)

    torch.testing.assert_close(shares, torch.eye(4), rtol=0, atol=1e-6)


def test_agreement_is_the_cross_entropy():
    cosines = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    chosen = torch.tensor([0, 6, 3, 3, 1])

    term = agreement(cosines, F.one_hot(chosen, 7).float(), temperature=0.2)

    torch.testing.assert_close(term, F.cross_entropy(cosines / 0.2, chosen))


def test_spread_of_a_right_angle():
    vectors = torch.tensor([[3.0, 0.0], [0.0, 0.5]])

    assert spread(vectors) == pytest.approx(-math.log(math.sqrt(2)), abs=1e-5)


def test_spread_is_least_for_even_directions():
    angles = torch.arange(4) * math.pi / 2
    even = torch.stack([angles.cos(), angles.sin()], dim=1)
    crowded = torch.stack([(angles / 4).cos(), (angles / 4).sin()], dim=1)

    assert spread(even) < spread(crowded)
