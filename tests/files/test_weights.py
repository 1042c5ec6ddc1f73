import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dino_ir.catalog import build
from dino_ir.contracts import Prior
from dino_ir.errors import WeightsError
from dino_ir.files import weights as weights_module
from dino_ir.files.weights import digest, fill_priors, find_weights, learned, read_weights, write_weights


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
    assert sorted(learned(Guided())) == ["network.bias", "network.weight"]
    assert sorted(learned(Mean())) == ["scale"]


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
