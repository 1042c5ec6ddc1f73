import pytest
import torch
from torch import nn

from dino_ir.layers.norm import ChannelNorm


def randomised(norm: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    return norm


def test_is_the_layer_norm_of_every_pixel():
    norm, reference = randomised(ChannelNorm(6)), randomised(nn.LayerNorm(6))
    x = torch.randn(2, 6, 3, 5) * 3 + 1

    expected = torch.stack([reference(pixel) for pixel in x.flatten(2).mT.flatten(0, 1)])

    torch.testing.assert_close(norm(x).flatten(2).mT.flatten(0, 1), expected)


def test_without_bias_it_only_divides():
    norm = randomised(ChannelNorm(6, bias=False))
    x = torch.randn(2, 6, 3, 5) * 3 + 1

    expected = x / (x.var(dim=1, correction=0, keepdim=True) + 1e-5).sqrt() * norm.weight.view(6, 1, 1)

    torch.testing.assert_close(norm(x), expected)


def test_without_bias_there_is_none_to_learn():
    assert list(ChannelNorm(6, bias=False).state_dict()) == ["weight"]
    assert list(ChannelNorm(6).state_dict()) == ["weight", "bias"]


def test_without_bias_it_scales_with_the_input():
    norm = ChannelNorm(6, bias=False, eps=0)
    x = torch.randn(1, 6, 3, 5)

    torch.testing.assert_close(norm(x), norm(100 * x))
    assert norm(x * 1e-3 + 1).mean() > 1


def test_both_have_right_gradients():
    for bias in (True, False):
        norm = randomised(ChannelNorm(4, bias=bias)).double()
        x = torch.randn(1, 4, 2, 2, dtype=torch.float64, requires_grad=True)

        assert torch.autograd.gradcheck(norm, x)


def test_the_memory_format_stays():
    for bias in (True, False):
        x = torch.randn(2, 4, 3, 5).to(memory_format=torch.channels_last)

        assert ChannelNorm(4, bias=bias)(x).is_contiguous(memory_format=torch.channels_last)


def test_a_large_mean_does_not_swallow_the_variance():
    norm = ChannelNorm(8, bias=False)
    x = torch.randn(1, 8, 4, 4)

    quotient = norm(x + 1000) / (x + 1000)

    expected = (x.var(dim=1, correction=0, keepdim=True) + 1e-5).rsqrt().expand_as(x)
    torch.testing.assert_close(quotient, expected, rtol=1e-3, atol=0)


def test_sums_are_float32_in_bfloat16():
    for bias in (True, False):
        x = torch.randn(1, 512, 2, 2)
        norm = ChannelNorm(512, bias=bias)

        difference = norm.bfloat16()(x.bfloat16()).float() - norm.float()(x)

        assert difference.abs().mean() < 0.01


@pytest.mark.parametrize("bias", [True, False])
def test_the_form_that_is_exported_gives_the_same(monkeypatch, bias):
    norm = ChannelNorm(6, bias)
    for parameter in norm.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(2, 6, 5, 7)
    expected = norm(x)

    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)

    torch.testing.assert_close(norm(x), expected, rtol=1e-5, atol=1e-5)
