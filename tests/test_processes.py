"""Runs on two processes, as torchrun starts them: gloo, on this machine."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from dino_ir import processes
from dino_ir.errors import TrainingError
from dino_ir.files.images import Photo, write_photo
from dino_ir.files.weights import read_weights

RECIPE = """
precision = "fp32"
average = 0.5
save_every = 2
[restorer]
name = "dino_ir"
network = { name = "nafnet", width = 4, encoder = [1], middle = 1, decoder = [1] }
prior = { name = "patch_color" }
feature_fusion = { name = "pixel_semantic", channels = 4 }
side = 32
contrast = { blocks = [0], weights = [1.0], start = 1, every = 2 }
[[phase]]
steps = 4
batch = 4
crop = 16
crops = 2
region = 32
lr = 1e-2
[[data]]
dataset = { name = "clean_folder", root = "photos" }
degradation = { name = "gaussian_noise", sigma = [0, 50] }
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "photos").mkdir()
    for number in range(5):
        picture = torch.rand(3, 40, 48, generator=torch.Generator().manual_seed(number))
        write_photo(tmp_path / f"photos/{number}.png", Photo(picture))
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--no-python"]


def train(folder, run, *options, count=1):
    """Run `dino-ir train`, by torchrun where there are two processes."""
    command = [
        *([sys.executable, *TORCHRUN] if count > 1 else []),
        str(Path(sys.executable).with_name("dino-ir")),
        *("train", str(folder / "recipe.toml"), "--data", str(folder), "-o", str(folder / run), *options),
        *("--device", "cpu"),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def weights(folder, run):
    return read_weights(folder / run / "weights.safetensors")[0]


def assert_alike(first, second):
    assert first.keys() == second.keys()
    for name in first:  # stored in half precision, which rounds to 0.1 %; a step of Adam moves each by 0.01
        torch.testing.assert_close(first[name], second[name], rtol=2e-3, atol=1e-5)


def test_two_processes_train_what_one_does_and_one_goes_on_where_two_stopped(folder):
    alone = train(folder, "alone")
    together = train(folder, "together", "--max-minutes", "0", count=2)
    assert (alone.returncode, together.returncode) == (0, 0), together.stderr
    assert "strides" not in together.stderr
    assert together.stdout.count("Stopped.") == together.stdout.count("Weights:") == 1
    assert len((folder / "together/log.jsonl").read_text().splitlines()) == 1

    on = train(folder, "together")

    assert on.returncode == 0, on.stderr
    assert_alike(weights(folder, "together"), weights(folder, "alone"))
    steps = (folder / "together/log.jsonl").read_text().splitlines()
    assert len(steps) == 4


@pytest.mark.parametrize("several", [True, False])
def test_only_one_of_several_processes_leaves_before_python_ends(several):
    script = "import atexit; from dino_ir.processes import leave; atexit.register(print, 'end')\n"
    script += "print('done'); leave(); print('after')"
    environment = {**os.environ, **({"RANK": "1", "WORLD_SIZE": "2"} if several else {})}

    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment
    )

    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == (["done"] if several else ["done", "after", "end"])


STEP = """
import torch
from torch import nn
from dino_ir import optimizers
from dino_ir.processes import gathered, joined, leave

def stepped():
    rng = torch.Generator().manual_seed(0)
    kernels = [nn.Parameter(torch.randn(size, generator=rng)) for size in [(16, 16)] * 3 + [(32, 16)]]
    for kernel in kernels:
        kernel.grad = torch.randn(kernel.shape, generator=rng)
    optimizers.Muon(kernels, lr=1.0).step()
    return kernels

alone, worked, original = stepped(), [], optimizers._orthogonalised
optimizers._orthogonalised = lambda matrices: worked.append(tuple(matrices.shape)) or original(matrices)
with joined("cpu"):
    for kernel, other in zip(stepped(), alone, strict=True):
        torch.testing.assert_close(kernel, other, rtol=0, atol=0.01)  # it moved by 0.6 in the mean
        assert torch.equal(*gathered(kernel.detach()[None]).unbind())
assert worked == [(2, 16, 16), (1, 32, 16)], worked
print("alike")
leave()
"""


def test_muon_steps_on_two_processes_as_on_one_and_each_does_its_share(tmp_path):
    (tmp_path / "step.py").write_text(STEP)  # three kernels of one shape and one of another: no even shares

    run = subprocess.run(
        [sys.executable, *TORCHRUN, sys.executable, str(tmp_path / "step.py")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    assert run.stdout.count("alike") == 2


@pytest.mark.slow
def test_two_processes_go_on_where_one_stopped_and_where_two_did(folder):
    assert train(folder, "alone").returncode == 0
    for first, then in ((1, 2), (2, 2)):
        run = f"{first}_{then}"
        assert train(folder, run, "--max-minutes", "0", count=first).returncode == 0
        assert train(folder, run, count=then).returncode == 0
        assert_alike(weights(folder, run), weights(folder, "alone"))


@pytest.mark.slow
def test_machines_that_do_not_share_the_runs_folder_are_told(folder):
    assert train(folder, "run", "--max-minutes", "0").returncode == 0
    (folder / "recipe.toml").write_text(RECIPE)
    script = folder / "apart.sh"  # the second process looks into a folder of its own
    command = f"train {folder}/recipe.toml --data {folder} --device cpu -o {folder}/run"
    command += '$([ "$RANK" = 0 ] || echo "$RANK")'
    script.write_text(f"#!/bin/sh\nexec {Path(sys.executable).with_name('dino-ir')} {command}\n")
    script.chmod(0o755)

    apart = subprocess.run(
        [sys.executable, *TORCHRUN, str(script)], capture_output=True, text=True, check=False
    )

    assert apart.returncode != 0
    assert "let them share that folder" in apart.stderr


@pytest.mark.slow
def test_what_stops_one_process_stops_all_in_one_sentence(folder):
    for picture in list((folder / "photos").iterdir())[1:]:
        picture.write_bytes(b"not a picture")

    failed = train(folder, "run", count=2)

    assert failed.returncode != 0
    assert "is not an image that can be read" in failed.stderr
    assert 'File "' not in failed.stderr.partition("ChildFailedError")[0].partition("torch/distributed")[0]
    assert "Connection closed" not in failed.stderr


@pytest.mark.slow
def test_a_termination_signal_to_all_leaves_a_checkpoint(folder):
    command = [sys.executable, *TORCHRUN, str(Path(sys.executable).with_name("dino-ir"))]
    command += ["train", str(folder / "recipe.toml"), "--data", str(folder), "-o", str(folder / "run")]
    command += ["--device", "cpu", "--workers", "1", "--set", "phase.0.steps=100000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log = folder / "run/log.jsonl"
    deadline = time.monotonic() + 120
    while not (log.exists() and log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.2)

    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)

    assert output.count("Stopped.") == 1
    assert (folder / "run/checkpoint.pt").exists()


def test_each_process_gets_a_gpu_of_its_own(monkeypatch):
    chosen = []
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "1"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("torch.cuda.set_device", chosen.append)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr(
        processes.distributed, "init_process_group", lambda backend, timeout: chosen.append(backend)
    )
    monkeypatch.setattr(processes.distributed, "destroy_process_group", lambda: None)

    with processes.joined("cuda:0") as device:
        assert device == "cuda:1"

    assert chosen == ["cuda:1", "nccl"]


def test_more_processes_than_gpus_are_refused(monkeypatch):
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "1"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)

    with (
        pytest.raises(TrainingError, match="more processes than the 1 GPUs here: lower --nproc-per-node"),
        processes.joined("cuda"),
    ):
        pass


def test_alone_nothing_is_shared(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with processes.joined("cpu") as device:
        assert device == "cpu"
        assert processes.number_of_processes() == 1
        assert processes.is_first()
        assert processes.rows_of_this(5) == range(5)
        assert processes.mean_over_processes(torch.tensor([1.0, 3.0])).tolist() == [1.0, 3.0]
        assert processes.any_of_them(True, device)
        assert processes.all_have(7, device)
        assert not processes.any_of_them(False, device)
