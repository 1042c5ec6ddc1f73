import sys

import pytest
import torch

from dino_ir.errors import DinoIRError
from dino_ir.restorers.nl_means import NLMeans


def test_of_two_flat_halves_each_is_averaged_alone():
    pytest.importorskip("skimage")
    halves = torch.zeros(1, 3, 32, 32)
    halves[..., 16:] = 1

    assert float((NLMeans(25)(halves) - halves).abs().max()) < 1e-3


def test_a_missing_package_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage", None)

    with pytest.raises(DinoIRError, match=r"scikit-image is not installed: pip install 'dino-ir\[demo\]'"):
        NLMeans(25)(torch.rand(1, 3, 16, 16))
