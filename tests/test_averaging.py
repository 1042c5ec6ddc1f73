import pytest
import torch

from dino_ir.averaging import average_weights, join_experts
from dino_ir.catalog import build
from dino_ir.errors import WeightsError
from dino_ir.files.weights import digest, read_weights, write_weights
from dino_ir.inference import load

TABLE = {
    "name": "plain",
    "network": {"name": "nafnet", "width": 4, "encoder": [1], "middle": 1, "decoder": [1]},
}


@pytest.fixture
def save(tmp_path):
    """Writes a restorer whose weights are all one number."""

    def write(name, number, **options):
        table = {**TABLE, "network": {**TABLE["network"], **options}}
        restorer = build("restorers", table)
        for weight in restorer.parameters():
            torch.nn.init.constant_(weight, number)
        write_weights(tmp_path / name, restorer, {"restorer": table, "step": number})
        return tmp_path / name

    return write


def test_every_weight_is_the_mean_and_the_table_says_of_what(save, tmp_path):
    files = [save("a.safetensors", 1), save("b.safetensors", 2), save("c.safetensors", 6)]

    average_weights(files, tmp_path / "deep/mean.safetensors")

    weights, table = read_weights(tmp_path / "deep/mean.safetensors")
    assert {float(number) for each in weights.values() for number in each.unique()} == {3.0}
    assert table["step"] == 6
    assert table["mean_of"] == [digest(file) for file in files]


def test_one_file_has_no_mean(save, tmp_path):
    for write in (average_weights, join_experts):
        with pytest.raises(WeightsError, match="two weight files or more"):
            write([save("a.safetensors", 1)], tmp_path / "one.safetensors")


def test_another_restorers_weights_are_refused(save, tmp_path):
    files = [save("a.safetensors", 1), save("b.safetensors", 2, width=8)]

    with pytest.raises(WeightsError, match=r"a\.safetensors is of another restorer than .*b\.safetensors"):
        average_weights(files, tmp_path / "mean.safetensors")

    assert not (tmp_path / "mean.safetensors").exists()


def test_joined_networks_are_experts_in_the_order_given(save, tmp_path):
    files = [save("a.safetensors", 1), save("b.safetensors", 2)]

    join_experts(files, tmp_path / "joined.safetensors")

    load(tmp_path / "joined.safetensors", "cpu")
    weights, table = read_weights(tmp_path / "joined.safetensors")
    for index, number in enumerate((1.0, 2.0)):
        own = [value for name, value in weights.items() if name.startswith(f"network.experts.{index}.")]
        assert len(own) == len(read_weights(files[0])[0])
        assert {float(n) for value in own for n in value.flatten()} == {number}
    assert table["experts_of"] == [digest(file) for file in files]
    assert table["restorer"]["network"] == {"name": "experts", "expert": TABLE["network"], "count": 2}


def test_experts_that_differ_in_more_than_their_networks_are_refused(tmp_path):
    prior = {"name": "patch_color"}
    table = {**TABLE, "name": "dino_ir", "prior": prior, "feature_fusion": {"name": "concat", "channels": 4}}
    files = [tmp_path / name for name in ("a.safetensors", "b.safetensors")]
    for seed, file in enumerate(files):
        torch.manual_seed(seed)
        write_weights(file, build("restorers", table), {"restorer": table})

    with pytest.raises(WeightsError, match=r'such as in feature_fusion.*learns = \["network"\]'):
        join_experts(files, tmp_path / "joined.safetensors")
