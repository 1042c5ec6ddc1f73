import hashlib
import platform

import pytest
import torch

from dino_ir.diagnosis import diagnose, verify_weights
from dino_ir.errors import WeightsError
from dino_ir.files import weights as weight_files


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder of shipped weights: the default one, and its sum."""
    monkeypatch.setattr(weight_files, "_FOLDER", tmp_path)
    path = tmp_path / f"{weight_files.DEFAULT}.safetensors"
    path.write_bytes(b"weights")
    total = hashlib.sha256(b"weights").hexdigest()
    (tmp_path / "SHA256SUMS").write_text(f"{total}  {path.name}\n")
    return tmp_path


def test_versions_and_devices_are_told(shelf):
    findings = diagnose().findings

    assert findings["python"] == platform.python_version()
    assert findings["torch"] in (torch.__version__, torch.__version__.partition("+")[0])  # as pip has it
    assert findings["devices"].startswith("cpu")
    assert findings["threads"] == "1"


def test_the_packages_weights_are_whole_and_take_at_most_25_megabytes():
    files = list(weight_files._FOLDER.glob("*.safetensors"))

    assert verify_weights([path.stem for path in files]).is_well
    assert 0 < sum(path.stat().st_size for path in files) <= 25_000_000


def test_whole_weights_are_well(shelf):
    diagnosis = diagnose()

    assert diagnosis.is_well
    assert diagnosis.findings[f"weights {weight_files.DEFAULT}"] == "whole"


def test_damaged_and_unlisted_weights_are_named(shelf):
    (shelf / f"{weight_files.DEFAULT}.safetensors").write_bytes(b"weighty")
    (shelf / "other.safetensors").write_bytes(b"weights")

    diagnosis = diagnose()

    assert not diagnosis.is_well
    assert diagnosis.findings[f"weights {weight_files.DEFAULT}"].startswith("damaged")
    assert diagnosis.findings["weights other"].startswith("damaged")


@pytest.mark.parametrize("missing", ["SHA256SUMS", f"{weight_files.DEFAULT}.safetensors"])
def test_what_is_missing_is_told_beside_the_rest(shelf, missing):
    (shelf / missing).unlink()

    diagnosis = diagnose()

    assert not diagnosis.is_well
    assert diagnosis.findings["weights"]
    assert diagnosis.findings["python"] == platform.python_version()


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Published weights on this machine: one in torch.hub's folder, and one, damaged, in the hub's cache."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    official = tmp_path / "torch/hub/checkpoints/dinov2_vitb14_pretrain.pth"
    top = tmp_path / "hub/models--facebook--dinov2-small"
    link = top / "snapshots/main/model.safetensors"
    blob = top / "blobs" / ("0" * 64)
    for path in (official, link, blob):
        path.parent.mkdir(parents=True)
    official.write_bytes(b"tensors")
    blob.write_bytes(b"tensors")
    link.symlink_to(blob)
    return {"dinov2_vits14": link, "dinov2_vitb14": official}


def test_published_weights_that_are_here_are_told(shelf, published):
    diagnosis = diagnose()

    told = {name: finding for name, finding in diagnosis.findings.items() if "dinov2" in name}
    assert told == {f"weights {name}": str(path) for name, path in published.items()}
    assert diagnosis.is_well


def test_all_weights_that_are_here_are_verified(shelf, published):
    findings, is_well = verify_weights()

    assert findings == {
        weight_files.DEFAULT: "whole",
        "dinov2_vits14": f"damaged: remove {published['dinov2_vits14'].resolve()} and fetch it again",
        "dinov2_vitb14": f"nothing is stated of {published['dinov2_vitb14']}",
    }
    assert not is_well


def test_one_file_is_verified_alone(shelf, published):
    assert verify_weights([weight_files.DEFAULT]) == ({weight_files.DEFAULT: "whole"}, True)
    assert verify_weights(["dinov2_vitb14"]).is_well
    assert not verify_weights(["dinov2_vits14"]).is_well


def test_weights_that_are_not_here_cannot_be_verified(shelf, published):
    with pytest.raises(WeightsError, match="dinov2_vitl14 is not on this machine: run dino-ir weights fetch"):
        verify_weights(["dinov2_vitl14"])
    with pytest.raises(
        WeightsError, match=r"no weights 'dinov3' to verify; there are: dino_ir_tiny, dinov2_"
    ):
        verify_weights(["dinov3"])
