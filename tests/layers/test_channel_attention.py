import pytest
import torch
from torch.nn import functional as F

from dino_ir.layers.channel_attention import ChannelAttention


def naive(attention: ChannelAttention, x: torch.Tensor) -> torch.Tensor:
    """Restormer's equation 1, one image and one head at a time."""
    qkv = attention.blend(attention.to_qkv(x))
    images = []
    for image in qkv:
        heads = []
        for head, (q, k, v) in enumerate(zip(*(part.chunk(attention.heads) for part in image.chunk(3)))):
            q, k = F.normalize(q.flatten(1), dim=1), F.normalize(k.flatten(1), dim=1)
            heads.append((q @ k.T * attention.temperature[head]).softmax(dim=1) @ v.flatten(1))
        images.append(torch.cat(heads).view_as(x[0]))
    return attention.project(torch.stack(images))


def random_attention(channels: int, heads: int) -> ChannelAttention:
    torch.manual_seed(0)
    attention = ChannelAttention(channels, heads)
    torch.nn.init.uniform_(attention.temperature, 0.5, 3)
    return attention


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_is_the_papers_equation(heads):
    attention = random_attention(8, heads)
    x = torch.randn(2, 8, 5, 7)

    torch.testing.assert_close(attention(x), naive(attention, x), rtol=1e-5, atol=1e-5)


def test_its_gradients_are_the_papers_too():
    attention = random_attention(8, 2)
    x = torch.randn(2, 8, 5, 7, requires_grad=True)
    weight = torch.randn(2, 8, 5, 7)
    inputs = [x, *attention.parameters()]

    gradients = torch.autograd.grad((attention(x) * weight).sum(), inputs)

    expected = torch.autograd.grad((naive(attention, x) * weight).sum(), inputs)
    torch.testing.assert_close(gradients, expected, rtol=1e-4, atol=1e-5)


def test_the_scale_of_queries_and_keys_does_not_matter():
    attention = random_attention(8, 2)
    x = torch.randn(1, 8, 5, 7)
    before = attention(x)

    with torch.no_grad():
        attention.to_qkv.weight[:8] *= 100
        attention.to_qkv.weight[8:16] *= 0.01

    torch.testing.assert_close(attention(x), before, rtol=1e-4, atol=1e-5)


def test_nothing_in_nothing_out_and_finite_gradients():
    attention = random_attention(8, 2)
    x = torch.zeros(1, 8, 4, 4, requires_grad=True)

    restored = attention(x)
    restored.sum().backward()

    assert not restored.any()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_the_memory_format_stays():
    x = torch.randn(2, 8, 5, 7).to(memory_format=torch.channels_last)

    assert random_attention(8, 2)(x).is_contiguous(memory_format=torch.channels_last)


def test_channels_must_split_into_heads():
    with pytest.raises(ValueError, match="8 channels do not split into 3 heads"):
        ChannelAttention(8, 3)
