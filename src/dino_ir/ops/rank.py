"""How many directions a set of vectors really uses."""

import torch
from torch import Tensor

__all__ = ["effective_rank"]


def effective_rank(vectors: Tensor) -> Tensor:
    r"""The effective rank of vectors [N, C] about their mean, from 1 (all on a line) to min(N - 1, C).

    .. math:: \exp\left(-\sum_i p_i \log p_i\right)

    with p_i the singular values divided by their sum. Roy and Vetterli, EUSIPCO 2007. Vectors that are
    all alike have none: 0.
    """
    centred = (vectors - vectors.mean(dim=0)).double()
    values = torch.linalg.svdvals(centred)
    total = values.sum()
    if total <= 1e-9 * vectors.double().norm():  # rounding errors have directions too
        return total.new_zeros(())
    return torch.special.entr(values / total).sum().exp()
