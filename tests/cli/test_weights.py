"""`dino-ir weights`, as a user types it."""

import hashlib
import re
from types import SimpleNamespace

import pytest
import torch
from typer.main import get_command

from dino_ir.catalog import build
from dino_ir.cli import app
from dino_ir.files.weights import shipped, write_weights
from dino_ir.inference import load, restore
from dino_ir.networks.nafnet import NAFNet
from dino_ir.published import published

VERBS = ("list", "fetch", "verify", "import", "mean", "join")
CONTENT = b"tensors"


@pytest.fixture
def caches(tmp_path, monkeypatch):
    """The folder of two empty caches, hub/ and torch/."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


@pytest.fixture
def official(caches):
    """A file in torch.hub's folder."""
    path = caches / "torch/hub/checkpoints/dinov2_vits14_pretrain.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def blob(caches):
    """A file in the hub's cache, kept under the digest that the hub stated."""
    path = caches / "hub/models--facebook--dinov2-base/blobs" / hashlib.sha256(CONTENT).hexdigest()
    link = path.parents[1] / "snapshots/main/model.safetensors"
    for each in (path, link):
        each.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    link.symlink_to(path)
    return path


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_each_of_its_options_is_explained(call, verb):
    command = get_command(app).commands["weights"].commands[verb]

    code, _output = call("weights", verb, "--help")

    assert code == 0
    assert re.match(r"[A-Z].*\.", command.help)
    assert [parameter.name for parameter in command.params if not getattr(parameter, "help", None)] == []


def test_these_are_all_the_verbs():
    assert tuple(get_command(app).commands["weights"].commands) == VERBS


def test_list_shows_all_weights_and_where_they_are(call, official):
    code, output = call("weights", "list")

    rows = {line.split()[0]: line for line in output.splitlines()}
    assert code == 0
    assert list(rows) == [*shipped(), *published()]
    assert re.fullmatch(rf"dinov2_vits14 +22,056,576  Apache-2.0  {official}", rows["dinov2_vits14"])
    assert rows["dinov2_vitb14"].endswith("  not here")
    assert re.fullmatch(r"dino_tiny +3,7\d\d,\d\d\d  own  .*/dino_tiny\.safetensors", rows["dino_tiny"])


def test_fetch_prints_where_the_file_is(call, caches, blob, monkeypatch):
    stated = SimpleNamespace(size=len(CONTENT), etag=blob.name)
    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", lambda _address: stated)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda _repository, _file: str(blob))

    fetched, found = call("weights", "fetch", "dinov2_vitl14"), call("weights", "fetch", "dinov2_vitb14")

    assert fetched == (0, f"{blob}\n")
    assert found[0] == 0
    assert found[1].endswith("/model.safetensors\n")


def test_verify_tells_of_all_that_are_here(call, official, blob):
    code, output = call("weights", "verify")

    verdicts = dict(line.split(maxsplit=1) for line in output.splitlines())
    assert code == 0
    assert verdicts == {
        **dict.fromkeys(shipped(), "whole"),
        "dinov2_vits14": f"nothing is stated of {official}",
        "dinov2_vitb14": "whole",
    }


def test_a_file_that_differs_is_code_1(call, official, blob):
    blob.write_bytes(b"tensorz")

    code, output = call("weights", "verify", "dinov2_vitb14")

    assert (code, len(output.splitlines())) == (1, 1)
    assert f"remove {blob}" in output
    assert call("weights", "verify", "dinov2_vits14")[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fetch", "dinov3"], "no published weights 'dinov3'; there are: "),
        (["verify", "dinov3"], "no weights 'dinov3' to verify; there are: "),
        (["verify", "dinov2_vitl14"], "run dino-ir weights fetch dinov2_vitl14"),
    ],
)
def test_a_wrong_name_is_one_sentence_and_code_2(call, caches, words, said):
    code, output = call("weights", *words)

    assert code == 2
    assert re.fullmatch(rf"dino-ir: .*{re.escape(said)}.*\n", output)


def test_no_way_to_the_hub_is_one_sentence_and_code_2(call, caches, monkeypatch):
    def fail(_address):
        raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", fail)

    code, output = call("weights", "fetch", "dinov2_vits14")

    assert code == 2
    assert re.fullmatch(r"dino-ir: .*put dinov2_vits14_pretrain\.pth into .*\n", output)


def test_a_published_checkpoint_becomes_a_weight_file(call, tmp_path):
    c, prefix = 8, "encoders.0.0."
    shapes = {
        "intro.weight": (c, 3, 3, 3),
        "intro.bias": (c,),
        "ending.weight": (3, c, 3, 3),
        "ending.bias": (3,),
    }
    for stem, width in ((prefix, c), ("middle_blks.0.", 2 * c), ("decoders.0.0.", c)):
        shapes |= {
            f"{stem}{name}.{part}": (width,) for name in ("norm1", "norm2") for part in ("weight", "bias")
        }
        convolutions = {"conv1": (2, 1, 1), "conv2": (2, 0, 3), "conv3": (1, 1, 1), "conv4": (2, 1, 1)}
        convolutions |= {"conv5": (1, 1, 1), "sca.1": (1, 1, 1)}
        for name, (factor, is_full, side) in convolutions.items():
            inner = width if is_full else 1
            shapes |= {f"{stem}{name}.weight": (factor * width, inner, side, side)}
            shapes |= {f"{stem}{name}.bias": (factor * width,)}
        shapes |= {f"{stem}{name}": (1, width, 1, 1) for name in ("beta", "gamma")}
    shapes |= {
        "downs.0.weight": (2 * c, c, 2, 2),
        "downs.0.bias": (2 * c,),
        "ups.0.0.weight": (4 * c, 2 * c, 1, 1),
    }
    weights = {name: torch.rand(shape) / 10 for name, shape in shapes.items()}
    torch.save({"params": weights}, tmp_path / "NAFNet.pth")

    code, output = call("weights", "import", tmp_path / "NAFNet.pth", "-o", tmp_path / "mine.safetensors")

    assert (code, output.split(": ", 1)[1]) == (
        0,
        "name = nafnet, width = 8, encoder = [1], middle = 1, decoder = [1]\n",
    )
    image = torch.rand(1, 3, 16, 16)
    assert load(tmp_path / "mine.safetensors")(image).shape == image.shape


def test_what_cannot_be_imported_is_one_sentence_and_leaves_nothing(call, tmp_path):
    torch.save({"unheard.of": torch.ones(1)}, tmp_path / "odd.pth")
    (tmp_path / "there.safetensors").write_text("kept")

    odd = call("weights", "import", tmp_path / "odd.pth", "-o", tmp_path / "mine.safetensors")
    there = call("weights", "import", tmp_path / "odd.pth", "-o", tmp_path / "there.safetensors")

    assert odd[0] == there[0] == 2
    assert "odd.pth: no network recognises these weights (unheard.of)" in odd[1]
    assert "there.safetensors exists; give another name, or delete it" in there[1]
    assert not (tmp_path / "mine.safetensors").exists()
    assert (tmp_path / "there.safetensors").read_text() == "kept"


def test_the_mean_of_one_file_twice_is_that_file(call, tmp_path):
    out = tmp_path / "mean.safetensors"

    code, output = call("weights", "mean", "default", "default", "-o", out)

    assert (code, output) == (0, f"{out}: the mean of 2 files\n")
    ours, default = (dict(load(each).named_parameters()) for each in (out, "default"))
    assert all(torch.equal(ours[name], default[name]) for name in default)


def test_a_mean_replaces_nothing(call, tmp_path):
    (tmp_path / "there.safetensors").write_bytes(b"kept")

    code, output = call("weights", "mean", "default", "default", "-o", tmp_path / "there.safetensors")

    assert code == 2
    assert output.endswith("there.safetensors exists; give another name, or delete it\n")
    assert (tmp_path / "there.safetensors").read_bytes() == b"kept"


def test_joined_copies_restore_as_one(call, tmp_path):
    one, out = tmp_path / "one.safetensors", tmp_path / "joined.safetensors"
    table = {"name": "plain", "network": {"name": "nafnet", **NAFNet.tiny}}
    write_weights(one, build("restorers", table), {"restorer": table})

    code, output = call("weights", "join", one, one, "-o", out)

    assert (code, output) == (0, f"{out}: 2 experts\n")
    photo = torch.rand(1, 3, 48, 64)
    torch.testing.assert_close(restore(load(out), photo), restore(load(one), photo), rtol=0, atol=1e-6)
    code, output = call("weights", "join", out, out, "-o", tmp_path / "again.safetensors")
    assert code == 2
    assert "can begin alone, such as nafnet, not experts" in output
