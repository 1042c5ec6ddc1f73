import torch

from dino_ir.layers.gated_feedforward import GatedFeedForward


def test_is_the_papers_equation():
    """Restormer's equation 2, with GELU written as its normal distribution function."""
    torch.manual_seed(0)
    layer = GatedFeedForward(6)
    x = torch.randn(2, 6, 4, 5)

    gate, value = layer.blend(layer.widen(x)).tensor_split([15], dim=1)  # 6 * 2.66, rounded down
    expected = layer.narrow(gate * torch.distributions.Normal(0, 1).cdf(gate) * value)

    torch.testing.assert_close(layer(x), expected)


def test_hidden_widths_are_those_of_the_published_files():
    hidden = [GatedFeedForward(channels).narrow.in_channels for channels in (48, 96, 192, 384)]

    assert hidden == [127, 255, 510, 1021]
