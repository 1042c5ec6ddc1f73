import sys

import pytest
import torch

from dino_ir.errors import DinoIRError, ImageError
from dino_ir.metrics import lpips
from dino_ir.metrics.lpips import LPIPS


def test_missing_packages_are_said_in_one_sentence(monkeypatch):
    lpips._peer.cache_clear()
    monkeypatch.setitem(sys.modules, "torchmetrics.image.lpip", None)

    with pytest.raises(DinoIRError, match=r"lpips needs torchmetrics, torchvision .*dino-ir\[perceptual\]"):
        LPIPS()(torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 64))


def test_unequal_shapes_are_refused():
    with pytest.raises(ImageError, match="equal shapes"):
        LPIPS()(torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 65))


def test_an_unknown_network_is_refused():
    with pytest.raises(ValueError, match="alex, vgg, squeeze"):
        LPIPS("resnet")
