"""What moves the weights along their gradients, and which of them."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dino_ir.errors import RecipeError
from dino_ir.processes import gathered, number_of_processes, rows_of_this

__all__ = ["Muon", "build_optimizers", "freeze_all_but"]

STEP = 0.6
"""Root mean square of what a step at learning rate 1 adds to a kernel. Large models take 0.2 (Liu et al.,
arXiv:2502.16982), with which our small networks learnt more slowly."""

SMALLEST = 16
"""A kernel with fewer rows or columns has no directions worth balancing."""

Options = dict[str, Any]


def build_optimizers(
    name: str, parameters: Iterable[nn.Parameter], betas: Sequence[float], weight_decay: float
) -> list[torch.optim.Optimizer]:
    """The optimizers that share a learner's parameters, each at a learning rate of 0.

    With "adam" and "adamw" there is one. "muon" moves the kernels of convolutions by `Muon`, and by AdamW all
    else: norms, gains, depthwise kernels, and linear layers, for a gate's scores would run away.
    """
    parameters = list(parameters)
    options: Options = {"lr": 0.0, "betas": (betas[0], betas[1]), "weight_decay": weight_decay, "fused": True}
    if name == "adam":
        return [torch.optim.Adam(parameters, **options)]
    if name == "adamw":
        return [torch.optim.AdamW(parameters, **options)]
    matrices = [p for p in parameters if p.ndim == 4 and min(len(p), p[0].numel()) >= SMALLEST]
    others = [p for p in parameters if not any(p is matrix for matrix in matrices)]
    kinds: list[torch.optim.Optimizer] = []
    if matrices:
        kinds.append(Muon(matrices, lr=0.0, weight_decay=weight_decay))
    if others:
        kinds.append(torch.optim.AdamW(others, **options))
    return kinds


def freeze_all_but(module: nn.Module, parts: Sequence[str]) -> None:
    """Let only the parts of these names learn, of what could.

    Raises:
        RecipeError: nothing of a name can learn.
    """
    names = [name for name, parameter in module.named_parameters() if parameter.requires_grad]
    learning: set[str] = set()
    for part in parts:
        found = {name for name in names if f"{name}.".startswith(f"{part}.")}
        if not found:
            known = ", ".join(dict.fromkeys(name.partition(".")[0] for name in names))
            raise RecipeError(f"learns: nothing of {part!r} can learn; what can: {known}")
        learning |= found
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name in learning)


class Muon(torch.optim.Optimizer):
    """Momentum whose every direction is made equally long; a kernel counts as a matrix of its rows.

    Where a few directions have nearly all of the gradient, as where tasks of very different errors share
    the weights, the others learn as fast. Processes that share a run share this work, too: the kernels of
    each shape are divided among them. So all must step, with the same gradients.

    Args:
        params: kernels [C, ...], taken as [C, the rest].
        lr: learning rate; a step's root mean square is 0.6 times that.
        momentum: how much of the mean gradient a step keeps (Nesterov's).
        weight_decay: share of the weights taken away by a step, times `lr`.

    Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Move every kernel that has a gradient."""
        for group in self.param_groups:
            learning = [p for p in group["params"] if p.grad is not None]
            for shape, alike in groupby(sorted(learning, key=_shape), key=_shape):
                kernels = list(alike)
                steps = _shared_out(torch.stack([self._momentum(p, group["momentum"]) for p in kernels]))
                length = group["lr"] * STEP * max(shape) ** 0.5
                for kernel, step in zip(kernels, steps):
                    kernel.mul_(1 - group["lr"] * group["weight_decay"])
                    kernel.add_(step.view(kernel.shape), alpha=-length)

    def _momentum(self, kernel: Tensor, momentum: float) -> Tensor:
        """The kernel's mean gradient with the newest counted once more, as a matrix."""
        assert kernel.grad is not None
        state = self.state[kernel]
        if not state:
            state["mean"] = torch.zeros_like(kernel)
        mean = state["mean"].lerp_(kernel.grad, 1 - momentum)
        return kernel.grad.lerp(mean, momentum).reshape(_shape(kernel))


def _shared_out(matrices: Tensor) -> Tensor:
    """`_orthogonalised`, float32, each process doing its share: all have the same matrices, [N, R, C]."""
    if number_of_processes() == 1:
        return _orthogonalised(matrices).float()
    missing = -len(matrices) % number_of_processes()  # zeros stay zeros
    mine = rows_of_this(len(matrices) + missing)
    part = F.pad(matrices, (0, 0, 0, 0, 0, missing))[mine.start : mine.stop]
    return gathered(_orthogonalised(part))[: len(matrices)].float()


def _orthogonalised(matrices: Tensor) -> Tensor:
    """Matrices of the same directions whose lengths are all near 1, [N, R, C] as given, in bfloat16.

    Five steps of a polynomial iteration: singular values of 0.005 to 1 times the Frobenius norm
    end between 0.68 and 1.16, but for rounding.
    """
    turned = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if turned else matrices
    x = (x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)).bfloat16()
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.mT if turned else x


def _shape(kernel: Tensor) -> tuple[int, int]:
    return len(kernel), kernel[0].numel()
