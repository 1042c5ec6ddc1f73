import math

import pytest
import torch

from dino_ir.ops.rank import effective_rank


def test_equal_axes_count_in_full():
    axes = torch.cat([torch.eye(5), -torch.eye(5)])

    assert effective_rank(axes) == pytest.approx(5)


def test_a_line_has_rank_one():
    line = torch.arange(7.0)[:, None] * torch.tensor([[1.0, 2.0, 3.0]])

    assert effective_rank(line) == pytest.approx(1, abs=1e-5)


def test_unequal_axes_count_by_their_entropy():
    axes = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])

    expected = math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert effective_rank(axes) == pytest.approx(expected)


def test_vectors_all_alike_have_none():
    assert effective_rank(torch.full((6, 4), 0.1)) == 0


def test_neither_size_nor_place_nor_turn_matter():
    rng = torch.Generator().manual_seed(0)
    vectors = torch.randn(9, 4, generator=rng, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=rng, dtype=torch.float64)).Q

    moved = 3 * vectors @ turn + 5

    assert effective_rank(moved) == pytest.approx(effective_rank(vectors).item())
