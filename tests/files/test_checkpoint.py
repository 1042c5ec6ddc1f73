import pytest
import torch

from dino_ir.errors import TrainingError
from dino_ir.files.checkpoint import read_checkpoint, write_checkpoint


def test_round_trip(tmp_path):
    state = {"step": 3, "average": {"w": torch.rand(2, 2)}, "recipe": {"phase": [{"lr": [1e-3, 0.0]}]}}

    write_checkpoint(tmp_path / "checkpoint.pt", state)
    read = read_checkpoint(tmp_path / "checkpoint.pt")

    torch.testing.assert_close(read["average"], state["average"], rtol=0, atol=0)
    assert (read["step"], read["recipe"]) == (3, state["recipe"])
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_damaged_file_is_named(tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"cut off")

    with pytest.raises(TrainingError, match=r"checkpoint\.pt is damaged: delete it"):
        read_checkpoint(tmp_path / "checkpoint.pt")
