import pytest
import torch
from torch import nn

from dino_ir.optimizers import STEP, Muon, build_optimizers


def matrices(*sizes: int) -> torch.Tensor:
    return torch.randn(sizes, generator=torch.Generator().manual_seed(0))


def stepped(
    optimizer: torch.optim.Optimizer, weight: nn.Parameter, gradients: list[torch.Tensor]
) -> torch.Tensor:
    for gradient in gradients:
        weight.grad = gradient.reshape(weight.shape)
        optimizer.step()
    return weight.detach()


@pytest.mark.parametrize("size", [(24, 24), (16, 40), (40, 16)])
def test_it_steps_as_torch_does(size: tuple[int, int]):
    start, gradients = matrices(*size), list(matrices(3, *size))
    ours, theirs = (nn.Parameter(start.clone()) for _ in range(2))

    peer = torch.optim.Muon([theirs], lr=STEP / 0.2 * 0.01, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    expected = stepped(peer, theirs, gradients)

    difference = stepped(Muon([ours], lr=0.01), ours, gradients) - expected
    # Both multiply in bfloat16, which has 8 bits, and not in the same order.
    assert difference.norm() < 0.05 * (expected - start).norm()


def test_all_directions_become_nearly_as_long_as_each_other():
    left, right = (torch.linalg.qr(matrices(32, 32))[0] for _ in range(2))
    stretched = left @ torch.linspace(0.05, 1, 32).diag() @ right.T

    weight = nn.Parameter(torch.zeros(32, 32))
    moved = stepped(Muon([weight], lr=1.0), weight, [stretched])
    lengths = torch.linalg.svdvals(moved) / (STEP * 32**0.5)

    assert lengths.min() > 0.6
    assert lengths.max() < 1.3


def test_a_kernel_steps_as_the_matrix_of_its_rows_in_any_memory_layout():
    gradients = list(matrices(2, 20, 27))
    flat = nn.Parameter(torch.zeros(20, 27))
    kernel = nn.Parameter(torch.zeros(20, 3, 3, 3).contiguous(memory_format=torch.channels_last))

    moved = stepped(Muon([kernel], lr=0.01), kernel, gradients)

    torch.testing.assert_close(moved.reshape(20, 27), stepped(Muon([flat], lr=0.01), flat, gradients))


def test_kernels_of_one_shape_do_not_mix():
    gradients = matrices(2, 16, 16)
    alone, first, second = (nn.Parameter(torch.zeros(16, 16)) for _ in range(3))
    first.grad, second.grad, alone.grad = gradients[0], gradients[1], gradients[1]

    Muon([first, second], lr=0.1).step()
    Muon([alone], lr=0.1).step()

    torch.testing.assert_close(second, alone)
    assert not torch.allclose(first, alone)


def test_weights_decay_and_those_without_a_gradient_stay():
    decaying, still = nn.Parameter(torch.ones(16, 16)), nn.Parameter(torch.ones(16, 16))
    decaying.grad = torch.zeros(16, 16)

    Muon([decaying, still], lr=0.1, weight_decay=0.5).step()

    torch.testing.assert_close(decaying.detach(), torch.full((16, 16), 0.95))
    torch.testing.assert_close(still.detach(), torch.ones(16, 16))


def test_muon_takes_the_kernels_and_adamw_the_rest():
    network = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3, groups=16), nn.Conv2d(16, 32, 1), nn.Linear(32, 32)
    )

    muon, adamw = build_optimizers("muon", network.parameters(), (0.9, 0.99), 0.0)

    assert [tuple(p.shape) for p in muon.param_groups[0]["params"]] == [(16, 3, 3, 3), (32, 16, 1, 1)]
    assert len(adamw.param_groups[0]["params"]) == 6
    assert isinstance(adamw, torch.optim.AdamW)


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_others_take_all(name: str, kind: type[torch.optim.Optimizer]):
    (optimizer,) = build_optimizers(name, nn.Conv2d(16, 16, 1).parameters(), (0.9, 0.99), 0.01)

    assert type(optimizer) is kind
    assert optimizer.defaults["betas"] == (0.9, 0.99)
