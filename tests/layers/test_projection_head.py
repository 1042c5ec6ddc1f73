import torch
from torch.nn import functional as F

from dino_ir.layers.projection_head import ProjectionHead


def test_gives_cosines_with_each_prototype():
    torch.manual_seed(0)
    head = ProjectionHead(channels=8, prototypes=5, inner=12, narrow=4)
    tokens = torch.randn(2, 3, 8)

    cosines = head(tokens)

    narrow = head.project(tokens)
    expected = F.cosine_similarity(narrow[..., None, :], head.prototypes, dim=-1)
    torch.testing.assert_close(cosines, expected)
    assert cosines.shape == (2, 3, 5)


def test_every_parameter_learns():
    torch.manual_seed(0)
    head = ProjectionHead(channels=8, prototypes=5, inner=12, narrow=4)

    head(torch.randn(3, 8)).square().sum().backward()

    assert [name for name, parameter in head.named_parameters() if not parameter.grad.abs().any()] == []
