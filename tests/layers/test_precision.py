import pytest
import torch
from torch import nn

from dino_ir.layers.precision import exactly


def test_within_an_autocast_numbers_stay_as_they_are():
    convolution, image = nn.Conv2d(1, 1, 1), torch.rand(1, 1, 4, 4)
    cpu = torch.device("cpu")

    with torch.autocast("cpu", torch.bfloat16):
        half = convolution(image)
        with exactly(cpu):
            full = convolution(image)
        after = convolution(image)

    assert (half.dtype, full.dtype, after.dtype) == (torch.bfloat16, torch.float32, torch.bfloat16)
    assert torch.equal(full, convolution(image))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_without_an_autocast_nothing_is_entered(device):
    with exactly(torch.device(device)) as entered:
        assert entered is None
