import hashlib
import json
import pickle
import struct

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dino_ir.catalog import build
from dino_ir.contracts import Prior
from dino_ir.errors import WeightsError
from dino_ir.files import weights as weights_module
from dino_ir.files.weights import (
    digest,
    fill_priors,
    find_weights,
    learned,
    read_published,
    read_weights,
    write_weights,
)


class Mean(Prior):
    """A prior of one number, trained somewhere."""

    def __init__(self, pretrained=None):
        super().__init__()
        self.scale = nn.Parameter(torch.rand(1))
        self.pretrained = pretrained


class Guided(nn.Module):
    def __init__(self, pretrained=None):
        super().__init__()
        self.prior = Mean(pretrained).train()
        self.network = nn.Conv2d(3, 3, 1)


class Foreign(Mean):
    """A prior whose weights others published under a name of their own."""

    @staticmethod
    def rename_published(state):
        return {key.replace("their_gain", "scale"): value for key, value in state.items()}


class Touch:
    """Code that a pickle runs when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


TENSORS = {"body.weight": torch.tensor([[0.5, -2.0]]), "body.bias": torch.tensor([1.0])}


@pytest.fixture
def torch_hub(tmp_path, monkeypatch):
    """The folder of torch.hub's downloads, and no other cache."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = tmp_path / "torch/hub/checkpoints"
    folder.mkdir(parents=True)
    return folder


def same(first, second):
    """Equal names and equal bits."""
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_round_trip_is_exact_to_half_precision_and_keeps_the_table(tmp_path):
    network = nn.Conv2d(3, 4, 3)

    write_weights(tmp_path / "made/here.safetensors", network, {"restorer": {"name": "plain"}})
    weights, table = read_weights(tmp_path / "made/here.safetensors")

    assert table == {"restorer": {"name": "plain"}, "priors": {}}
    torch.testing.assert_close(weights["weight"], network.weight.detach().half().float(), rtol=0, atol=0)
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["here.safetensors"]


def test_numbers_beyond_half_precision_stay_whole(tmp_path):
    module = nn.Linear(1, 1, bias=False)
    module.weight.data.fill_(1e6)

    write_weights(tmp_path / "w.safetensors", module, {})

    assert read_weights(tmp_path / "w.safetensors")[0]["weight"].item() == 1e6


def test_numbers_below_half_precision_become_0(tmp_path):
    module = nn.Linear(2, 1, bias=False)
    module.weight.data.copy_(torch.tensor([[2**-24, 2**-26]]))

    write_weights(tmp_path / "w.safetensors", module, {})

    assert read_weights(tmp_path / "w.safetensors")[0]["weight"].tolist() == [[2**-24, 0]]


def test_priors_are_not_saved_with_what_was_learned_from_them():
    assert sorted(learned(Guided("a_file"))) == ["network.bias", "network.weight"]
    assert sorted(learned(Mean())) == ["scale"]


def test_a_prior_without_a_file_of_its_own_is_saved_for_no_other_would_do():
    assert sorted(learned(Guided())) == ["network.bias", "network.weight", "prior.scale"]


def test_a_prior_is_filled_from_its_own_file_and_no_other(tmp_path):
    file = tmp_path / "mean.safetensors"
    write_weights(file, Mean(), {})
    trained = read_weights(file)[0]["scale"]

    system = fill_priors(Guided(str(file)))
    write_weights(tmp_path / "guided.safetensors", system, {})
    noted = read_weights(tmp_path / "guided.safetensors")[1]["priors"]

    torch.testing.assert_close(system.prior.scale, trained, rtol=0, atol=0)
    assert not system.prior.scale.requires_grad
    assert noted == {str(file): digest(file)}
    fill_priors(system, noted)
    with pytest.raises(WeightsError, match="not the prior these weights were trained with"):
        fill_priors(system, {str(file): "0" * 64})


def test_a_file_of_another_shape_does_not_fit(tmp_path):
    write_weights(tmp_path / "w.safetensors", nn.Linear(2, 2), {})

    with pytest.raises(WeightsError, match="does not fit the prior"):
        fill_priors(Guided(str(tmp_path / "w.safetensors")))


def test_unknown_names_list_the_known():
    with pytest.raises(WeightsError, match=r"no weights 'dino_ir_tiney': give a file, or one of: default"):
        find_weights("dino_ir_tiney")


def test_without_shipped_weights_the_list_ends_with_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(weights_module, "_FOLDER", tmp_path)

    with pytest.raises(WeightsError, match=r"one of: default$"):
        find_weights("dino_ir_tiney")


def test_damaged_and_foreign_files_are_named(tmp_path):
    damaged, foreign = tmp_path / "damaged.safetensors", tmp_path / "foreign.safetensors"
    damaged.write_bytes(b"not a weight file")
    save_file({"x": torch.zeros(1)}, foreign, metadata={"format": json.dumps("pt")})

    with pytest.raises(WeightsError, match=r"damaged\.safetensors cannot be read"):
        read_weights(damaged)
    with pytest.raises(WeightsError, match=r"foreign\.safetensors does not say how to rebuild"):
        read_weights(foreign)


def test_a_restorers_prior_is_built_random_and_offline():
    prior = build("priors", {"name": "dino_tiny"})

    assert prior.pretrained == "dino_tiny"


@pytest.mark.parametrize(
    "wrapped",
    [
        TENSORS,
        {"params": TENSORS},
        {"params_ema": TENSORS},
        {"params": TENSORS, "params_ema": {"body.weight": torch.zeros(1)}},
        {"state_dict": TENSORS, "epoch": 3},
        {"model": TENSORS, "optimizer": {"lr": 0.1}},
        {f"module.{key}": value for key, value in TENSORS.items()},
        {"state_dict": {f"net.{key}": value for key, value in TENSORS.items()}},
        {"params": {f"module.net.{key}": value for key, value in TENSORS.items()}},
        {key: value.half() for key, value in TENSORS.items()},
    ],
    ids=["bare", "params", "params_ema", "both", "state_dict", "model", "module", "net", "nested", "half"],
)
@pytest.mark.parametrize("ending", ["pth", "pt"])
def test_published_tensors_come_out_of_their_wrapping(tmp_path, wrapped, ending):
    torch.save(wrapped, tmp_path / f"theirs.{ending}")

    assert same(read_published(tmp_path / f"theirs.{ending}"), TENSORS)


def test_published_safetensors_are_read_without_a_table_of_ours(tmp_path):
    save_file(
        {f"module.{key}": value.half() for key, value in TENSORS.items()}, tmp_path / "theirs.safetensors"
    )

    assert same(read_published(tmp_path / "theirs.safetensors"), TENSORS)


def test_a_prefix_that_not_all_names_have_is_kept(tmp_path):
    mixed = {"net.weight": torch.ones(1), "gain": torch.ones(1)}
    torch.save(mixed, tmp_path / "theirs.pth")

    assert same(read_published(tmp_path / "theirs.pth"), mixed)


@pytest.mark.parametrize("write", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_code_in_a_published_file_is_refused_and_not_run(tmp_path, write):
    write({"params": TENSORS, "more": Touch(tmp_path / "touched")}, tmp_path / "theirs.pth")

    with pytest.raises(WeightsError, match=r"theirs\.pth cannot be read as a weight file: expected"):
        read_published(tmp_path / "theirs.pth")

    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("name", ["theirs.pth", "theirs.safetensors", "theirs.onnx"])
@pytest.mark.parametrize("content", [b"", b"not a weight file", b"PK\x03\x04 nor an archive", None])
def test_other_kinds_of_files_are_refused(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)

    with pytest.raises(WeightsError, match=f"{name} cannot be read as a weight file"):
        read_published(tmp_path / name)


@pytest.mark.parametrize(
    "content", [[torch.ones(1)], {"epoch": 3}, {"params": {"lr": 0.1}}, {0: torch.ones(1)}]
)
def test_what_holds_no_network_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "theirs.pth")

    with pytest.raises(WeightsError, match=r"theirs\.pth holds other things than the tensors of one network"):
        read_published(tmp_path / "theirs.pth")


def test_a_published_prior_has_one_digest_in_any_kind_of_file(tmp_path):
    theirs = {"their_gain": torch.tensor([3.0])}
    torch.save({"model": theirs}, tmp_path / "theirs.pth")
    save_file(theirs, tmp_path / "theirs.safetensors")
    total = hashlib.sha256(b"scale[1]" + struct.pack("<f", 3)).hexdigest()

    noted = []
    for path in (tmp_path / "theirs.pth", tmp_path / "theirs.safetensors"):
        write_weights(tmp_path / "w.safetensors", nn.Sequential(Foreign(str(path))), {})
        noted += read_weights(tmp_path / "w.safetensors")[1]["priors"].values()

    assert noted == [total, total]


@pytest.mark.parametrize(
    "changed", [{"scale": torch.ones(2)}, {"other": torch.ones(1)}, {"scale": torch.zeros(1)}]
)
def test_other_weights_have_another_digest(tmp_path, changed):
    torch.save({"scale": torch.ones(1)}, tmp_path / "theirs.pth")
    system = nn.Sequential(Foreign(str(tmp_path / "theirs.pth")))
    write_weights(tmp_path / "w.safetensors", system, {})
    noted = read_weights(tmp_path / "w.safetensors")[1]["priors"]

    fill_priors(system, noted)
    torch.save(changed, tmp_path / "theirs.pth")
    with pytest.raises(WeightsError, match="not the prior these weights were trained with"):
        fill_priors(system, noted)


def test_a_published_name_fills_a_prior_with_the_file_on_this_machine(torch_hub):
    torch.save({"their_gain": torch.tensor([3.0]).half()}, torch_hub / "dinov2_vits14_pretrain.pth")

    system = fill_priors(nn.Sequential(Foreign("dinov2_vits14")))

    assert find_weights("dinov2_vits14") == torch_hub / "dinov2_vits14_pretrain.pth"
    assert (system[0].scale.item(), system[0].scale.dtype) == (3, torch.float32)


def test_a_published_name_that_is_not_here_says_what_to_do(torch_hub):
    with pytest.raises(WeightsError) as caught:
        fill_priors(Foreign("dinov2_vits14"))

    assert str(caught.value) == (
        "dinov2_vits14 is not on this machine: run dino-ir weights fetch dinov2_vits14, "
        "or name a file by restorer.prior.weights"
    )


@pytest.mark.parametrize(
    ("theirs", "wrong"),
    [
        ({}, r"scale of shape \[1\]"),
        ({"scale": torch.ones(1), "head": torch.ones(3, 2)}, r"head of shape \[3, 2\]"),
        ({"scale": torch.ones(2)}, r"scale of shape \[1\]"),
    ],
)
def test_published_tensors_must_be_the_priors_and_no_others(tmp_path, theirs, wrong):
    torch.save(theirs, tmp_path / "theirs.pth")

    with pytest.raises(WeightsError, match=rf"theirs\.pth does not fit the prior: {wrong} is in only one"):
        fill_priors(Foreign(str(tmp_path / "theirs.pth")))
