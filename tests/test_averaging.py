import pytest
import torch

from dino_ir.averaging import average_weights
from dino_ir.catalog import build
from dino_ir.errors import WeightsError
from dino_ir.files.weights import digest, read_weights, write_weights

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
    with pytest.raises(WeightsError, match="two weight files or more"):
        average_weights([save("a.safetensors", 1)], tmp_path / "mean.safetensors")


def test_another_restorers_weights_are_refused(save, tmp_path):
    files = [save("a.safetensors", 1), save("b.safetensors", 2, width=8)]

    with pytest.raises(WeightsError, match=r"a\.safetensors is of another restorer than .*b\.safetensors"):
        average_weights(files, tmp_path / "mean.safetensors")

    assert not (tmp_path / "mean.safetensors").exists()
