import hashlib
import platform

import pytest
import torch

from dino_ir.diagnosis import diagnose
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
    assert findings["torch"] == torch.__version__
    assert findings["devices"].startswith("cpu")
    assert findings["threads"] == "1"


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
