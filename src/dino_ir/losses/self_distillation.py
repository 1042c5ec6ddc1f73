"""The terms of self-distillation: balanced targets, agreement with them, and a push apart."""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["agreement", "balance", "spread"]


def balance(cosines: Tensor, temperature: float = 0.05, rounds: int = 3) -> Tensor:
    """Share N tokens out to K prototypes so that every prototype gets equally many.

    Sinkhorn and Knopp's scaling of exp(cosines / temperature), as SwAV has it (Caron et al., NeurIPS
    2020, arXiv 2006.09882): a teacher whose answers are all alike cannot come out of it, whatever the
    size of the batch.

    Args:
        cosines: [N, K].
        temperature: the lower, the more decided the shares.
        rounds: of scaling columns, then rows.

    Returns:
        [N, K] in float32: rows sum to 1, columns to about N / K.
    """
    scores = cosines.float() / temperature
    shares = (scores - scores.max()).exp()
    for _ in range(rounds):
        shares = shares / shares.sum(dim=0, keepdim=True).clamp_min(1e-30)
        shares = shares / shares.sum(dim=1, keepdim=True).clamp_min(1e-30)
    return shares


def agreement(cosines: Tensor, shares: Tensor, temperature: float = 0.1) -> Tensor:
    """The cross-entropy of a student's choice of prototypes with the teacher's, a scalar.

    Args:
        cosines: [N, K], the student's.
        shares: [N, K], rows sum to 1.
        temperature: of the student's softmax.
    """
    return -(shares * F.log_softmax(cosines.float() / temperature, dim=-1)).sum(dim=-1).mean()


def spread(vectors: Tensor) -> Tensor:
    """Minus the mean log distance of each vector [N, C] to its nearest neighbour on the unit sphere.

    Kozachenko and Leonenko's estimate of entropy, as DINOv2 uses it (arXiv 2304.07193, "KoLeo").
    """
    unit = F.normalize(vectors.float(), dim=-1)
    with torch.no_grad():
        cosines = unit @ unit.T
        nearest = cosines.fill_diagonal_(-2).argmax(dim=1)
    return -((unit - unit[nearest]).norm(dim=-1) + 1e-6).log().mean()
