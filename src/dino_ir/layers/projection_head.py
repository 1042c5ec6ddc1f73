"""The head of self-distillation: tokens to similarities with learned prototypes."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["ProjectionHead"]


class ProjectionHead(nn.Module):
    """Tokens to their cosines with each of a set of learned prototypes.

    A narrow end keeps prototypes comparable (Caron et al., ICCV 2021, arXiv 2104.14294); it is used in
    training only.

    Args:
        channels: of a token.
        prototypes: K, how many there are.
        inner: channels of the hidden layer.
        narrow: channels in which tokens and prototypes are compared.

    Shape:
        [..., channels] -> [..., K], each from -1 to 1.
    """

    def __init__(self, channels: int, prototypes: int, inner: int = 384, narrow: int = 96) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(channels, inner), nn.GELU(), nn.Linear(inner, narrow))
        self.prototypes = nn.Parameter(torch.randn(prototypes, narrow))

    def forward(self, tokens: Tensor) -> Tensor:
        return F.linear(F.normalize(self.project(tokens), dim=-1), F.normalize(self.prototypes, dim=-1))
