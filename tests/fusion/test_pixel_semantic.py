"""Equations 1 to 4 of DINO-IR."""

import pytest
import torch

from dino_ir.fusion.pixel_semantic import PixelSemantic


@pytest.fixture
def fuse():
    torch.manual_seed(0)
    return PixelSemantic(prior_channels=(6, 6, 6), channels=8)


@pytest.fixture
def features():
    return [torch.randn(2, 6, 4, 5) for _ in range(3)]


def test_scores_sum_to_one(fuse, features):
    torch.testing.assert_close(fuse.scores(features).sum(dim=1), torch.ones(2))


def test_permuting_inputs_with_their_gate_and_experts_permutes_the_scores(fuse, features):
    order = [2, 0, 1]
    scores, fused = fuse.scores(features), fuse(features)

    first, last = fuse.gate[0], fuse.gate[2]
    first.weight.data = torch.cat([first.weight.chunk(3, dim=1)[i] for i in order], dim=1)
    last.weight.data, last.bias.data = last.weight[order], last.bias[order]
    fuse.experts = torch.nn.ModuleList(fuse.experts[i] for i in order)
    permuted = [features[i] for i in order]

    torch.testing.assert_close(fuse.scores(permuted), scores[:, order])
    torch.testing.assert_close(fuse(permuted), fused)


def test_a_sure_gate_lets_one_expert_through(fuse, features):
    fuse.gate[2].weight.data.zero_()
    fuse.gate[2].bias.data = torch.tensor([0.0, 100.0, 0.0])

    torch.testing.assert_close(fuse(features), fuse.experts[1](features[1]))


def test_a_bounded_gate_lets_all_experts_through_however_sure_it_is(features):
    fuse = PixelSemantic(prior_channels=(6, 6, 6), channels=8, bound=1)
    fuse.gate[2].weight.data.zero_()
    fuse.gate[2].bias.data = torch.tensor([-100.0, 100.0, 0.0])

    scores = fuse.scores(features)

    e = torch.tensor([-1.0, 1.0, 0.0]).exp()
    torch.testing.assert_close(scores, (e / e.sum()).expand(2, 3))


def test_a_bounded_gate_that_is_unsure_says_what_a_free_one_says(features):
    torch.manual_seed(0)
    free = PixelSemantic(prior_channels=(6, 6, 6), channels=8)
    torch.manual_seed(0)
    bounded = PixelSemantic(prior_channels=(6, 6, 6), channels=8, bound=100)

    torch.testing.assert_close(bounded.scores(features), free.scores(features))


@pytest.mark.parametrize("bound", [0, -1.0, float("nan")])
def test_a_bound_is_above_0(bound):
    with pytest.raises(ValueError, match="bound must be above 0"):
        PixelSemantic(prior_channels=(6,), bound=bound)


def test_gradient_reaches_the_gate_and_all_experts(fuse, features):
    fuse(features).square().sum().backward()

    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in fuse.parameters())


def test_scores_can_be_read_after_a_pass(fuse, features):
    assert fuse.readings() == {}

    fuse(features)

    readings = fuse.readings()
    assert list(readings) == ["gate_0", "gate_1", "gate_2"]
    assert sum(readings.values()) == pytest.approx(1, abs=1e-6)


def test_parameters_at_the_papers_scale():
    """Experts 2 360 832 and gate 590 851, counted by hand for ViT-B maps and 256 channels."""
    fuse = PixelSemantic(prior_channels=(768, 768, 768), channels=256)

    assert sum(p.numel() for p in fuse.experts.parameters()) == 2_360_832
    assert sum(p.numel() for p in fuse.gate.parameters()) == 590_851
