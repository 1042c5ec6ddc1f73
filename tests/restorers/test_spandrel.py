"""Skipped where spandrel or torchvision is missing, which spandrel needs."""

import sys

import pytest
import torch

from dino_ir.catalog import build
from dino_ir.errors import DinoIRError, WeightsError
from dino_ir.inference import restore
from dino_ir.restorers.spandrel import Spandrel


@pytest.fixture
def spandrel():
    """The package, with all that it needs."""
    pytest.importorskip("torchvision", exc_type=(ImportError, RuntimeError))
    return pytest.importorskip("spandrel")


def save(path, network):
    torch.save(network.state_dict(), path)
    return str(path)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_published_network_restores_as_by_itself(spandrel, tmp_path, channels):
    from spandrel.architectures.DnCNN import DnCNN

    network = DnCNN(in_nc=channels, out_nc=channels).eval()
    restorer = build("restorers", {"name": "spandrel", "weights": save(tmp_path / "net.pth", network)}).eval()
    photo = torch.rand(2, 3, 21, 33, generator=torch.Generator().manual_seed(0))

    restored = restore(restorer, photo)

    with torch.no_grad():
        expected = network(photo) if channels == 3 else network(photo.flatten(0, 1)[:, None]).view_as(photo)
    torch.testing.assert_close(restored, expected.clamp(0, 1))


def test_a_network_that_enlarges_is_refused(spandrel, tmp_path):
    from spandrel.architectures.ESRGAN import ESRGAN

    weights = save(tmp_path / "net.pth", ESRGAN(num_blocks=1, num_filters=8))

    with pytest.raises(WeightsError, match="ESRGAN, which does not restore photos at their size"):
        Spandrel(weights)


def test_files_that_are_no_networks_are_refused(spandrel, tmp_path):
    torch.save({"some": torch.zeros(3)}, tmp_path / "other.pth")

    with pytest.raises(WeightsError, match=r"no file absent\.pth"):
        Spandrel("absent.pth")
    with pytest.raises(WeightsError, match=r"spandrel cannot read .*other\.pth"):
        Spandrel(str(tmp_path / "other.pth"))


def test_missing_packages_are_said_in_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "spandrel", None)

    with pytest.raises(DinoIRError, match=r"not installed: pip install 'dino-ir\[peers\]'"):
        Spandrel("net.pth")
