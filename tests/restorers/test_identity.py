import torch

from dino_ir.restorers.identity import Identity


def test_what_comes_in_goes_out():
    degraded = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(0))

    restored = Identity()(degraded)

    assert torch.equal(restored, degraded)
