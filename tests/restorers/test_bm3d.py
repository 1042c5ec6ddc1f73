import sys

import pytest
import torch

from dino_ir.errors import DinoIRError
from dino_ir.restorers.bm3d import BM3D


@pytest.mark.parametrize("size", [(1, 1), (5, 40)])
def test_photos_smaller_than_blocks_are_restored_too(size):
    pytest.importorskip("bm3d")

    restored = BM3D(25)(torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)))

    assert restored.shape == (1, 3, *size)
    assert restored.isfinite().all()


def test_grey_photos_stay_grey():
    pytest.importorskip("bm3d")
    noise = 0.1 * torch.randn(1, 1, 48, 48, generator=torch.Generator().manual_seed(3))

    restored = BM3D(25)((0.5 + noise).expand(-1, 3, -1, -1))

    assert float((restored - 0.5).abs().mean()) < 0.02
    # Its threads add up in any order.
    torch.testing.assert_close(restored[:, 0], restored[:, 2], rtol=0, atol=1e-5)


def test_a_missing_package_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "bm3d", None)

    with pytest.raises(DinoIRError, match=r"bm3d is not installed: pip install 'dino-ir\[classics\]'"):
        BM3D()(torch.rand(1, 3, 16, 16))
