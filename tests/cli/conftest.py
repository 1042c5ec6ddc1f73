"""What tests of the command line share: a folder to run in, tiny weights, and a way to call."""

import pytest
import torch
from typer.testing import CliRunner

from dino_ir.catalog import build
from dino_ir.cli import app
from dino_ir.files.images import Photo, write_photo
from dino_ir.files.weights import write_weights

PLAIN = {
    "name": "plain",
    "network": {"name": "nafnet", "width": 4, "encoder": [1], "middle": 1, "decoder": [1]},
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder that commands run in, with two pictures in photos/."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DINO_IR_DATA", raising=False)
    (tmp_path / "photos").mkdir()
    for number, name in enumerate(("a.png", "b.png")):
        ramp = torch.linspace(0, 1, 40).expand(3, 33, 40).roll(9 * number, dims=-1)
        write_photo(tmp_path / "photos" / name, Photo(ramp))
    return tmp_path


@pytest.fixture
def weights(folder):
    """Untrained weights of a tiny network, which changes so little that one may trust it."""
    torch.manual_seed(0)
    restorer = build("restorers", PLAIN)
    with torch.no_grad():
        for parameter in restorer.network.to_image.parameters():
            parameter.mul_(0.1)
    write_weights(folder / "tiny.safetensors", restorer, {"restorer": PLAIN})
    return "tiny.safetensors"


@pytest.fixture
def call():
    """Run a command; its exit code, and all that was said."""

    def run(*words):
        result = CliRunner().invoke(app, [str(word) for word in words])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    return run
