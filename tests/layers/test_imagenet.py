import torch

from dino_ir.layers.imagenet import normalise


def test_brings_the_mean_colour_to_zero_and_its_deviation_to_one():
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    normal = torch.randn(2, 3, 5, 7)

    torch.testing.assert_close(normalise(mean + deviation * normal), normal, rtol=1e-5, atol=1e-5)


def test_keeps_the_precision():
    assert normalise(torch.rand(3, 4, 4, dtype=torch.bfloat16)).dtype == torch.bfloat16
