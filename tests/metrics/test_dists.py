import sys

import pytest
import torch

from dino_ir.errors import DinoIRError, ImageError
from dino_ir.metrics import dists
from dino_ir.metrics.dists import DISTS


def test_missing_packages_are_said_in_one_sentence(monkeypatch):
    dists._peer.cache_clear()
    monkeypatch.setitem(sys.modules, "torchmetrics.image.dists", None)

    with pytest.raises(DinoIRError, match=r"dists needs torchmetrics, torchvision .*dino-ir\[perceptual\]"):
        DISTS()(torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 64))


def test_unequal_shapes_are_refused():
    with pytest.raises(ImageError, match="equal shapes"):
        DISTS()(torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 65))
