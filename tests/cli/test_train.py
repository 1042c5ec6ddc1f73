"""`dino-ir train` and `dino-ir check`, as a user types them."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from dino_ir.files.checkpoint import read_checkpoint
from dino_ir.files.images import Photo, read_rgb, write_photo
from dino_ir.files.weights import read_weights

PROGRAM = [sys.executable, "-c", "from dino_ir.cli import app; app()"]
RECIPE = """
save_every = 1000
[restorer]
name = "plain"
network = { name = "nafnet", width = 4, encoder = [1], middle = 1, decoder = [1] }
[[phase]]
steps = 3
batch = 1
crop = 16
[[data]]
dataset = { name = "clean_folder", root = "photos" }
degradation = { name = "gaussian_noise", sigma = 25 }
"""

BENCHMARK = """
title = "Held out"
task = "denoise"
dataset = { name = "clean_folder", root = "held" }
degradation = { name = "gaussian_noise", sigma = 25 }
"""


def test_a_run_is_stopped_and_continued_by_the_same_command(call, folder):
    (folder / "toy.toml").write_text(RECIPE)

    first = call("train", "toy.toml", "--data", ".", "--max-minutes", "0")
    stopped_at = read_checkpoint(folder / "runs/toy/checkpoint.pt")["step"]
    second = call("train", "toy.toml", "--data", ".")

    assert (first[0], stopped_at) == (0, 1)
    assert "Stopped. The same command goes on from runs/toy." in first[1]
    assert (second[0], second[1].splitlines()[-1]) == (0, "Weights: runs/toy/weights.safetensors")
    steps = [json.loads(line)["step"] for line in (folder / "runs/toy/log.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3]


def test_what_was_trained_restores_and_starts_another_run(call, folder):
    (folder / "toy.toml").write_text(RECIPE)
    call("train", "toy.toml", "--data", ".", "--set", "phase.0.steps=1", "-o", "first")

    restored = call("restore", "photos/a.png", "--weights", "first/weights.safetensors", "--unchecked")
    again = call("train", "toy.toml", "--data", ".", "-o", "second", "--init", "first/weights.safetensors")

    assert (restored[0], again[0]) == (0, 0)
    count = len(read_weights(folder / "first/weights.safetensors")[0])
    assert f"{count} of {count} parameters start from first/weights.safetensors" in again[1]
    _tensors, table = read_weights(folder / "first/weights.safetensors")
    assert table["recipe"]["phase"][0]["steps"] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["absent.toml"], "absent.toml cannot be read"),
        (["photos/a.png"], "photos/a.png is not TOML"),
        (["toy.toml"], "--data DIR"),
        (["toy.toml", "--data", "nowhere"], "no folder nowhere"),
        (["toy.toml", "--data", ".", "--set", "phase.0.step=1"], "unknown step"),
        (["toy.toml", "--data", ".", "--set", "restorer.network.width=no"], "networks/nafnet"),
        (["toy.toml", "--data", ".", "--init", "absent"], "no weights 'absent'"),
        (["toy.toml", "--data", ".", "--device", "abacus"], "no device 'abacus'"),
        (["toy.toml", "--data", ".", "--device", "meta"], "no device 'meta'"),
        (["toy.toml", "--data", ".", "--set", "save_every=0"], "save_every is a whole number"),
        (
            ["toy.toml", "--data", ".", "--set", "data.0.degradation.name=cleer"],
            "no 'cleer' in degradations/",
        ),
    ],
)
def test_a_wrong_training_is_one_sentence_and_code_2(call, folder, words, said):
    (folder / "toy.toml").write_text(RECIPE)

    code, output = call("train", *words)

    assert code == 2
    assert said in output.splitlines()[-1]
    assert "Traceback" not in output


def test_a_run_that_fails_is_one_sentence_and_code_1(call, folder):
    (folder / "toy.toml").write_text(RECIPE)
    (folder / "taken").write_text("a file, not a folder")

    code, output = call("train", "toy.toml", "--data", ".", "-o", "taken")

    assert code == 1
    assert output.splitlines()[-1] == "dino-ir: taken: File exists"


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_ctrl_c_leaves_a_checkpoint(folder, workers):
    (folder / "toy.toml").write_text(RECIPE)
    options = ["--data", ".", "--set", "phase.0.steps=100000", "--workers", str(workers)]
    process = subprocess.Popen(
        [*PROGRAM, "train", "toy.toml", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # as in a terminal, the signal goes to the workers too
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    log = folder / "runs/toy/log.jsonl"
    while process.poll() is None and not (log.exists() and log.read_text()):
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    said, complaints = process.communicate(timeout=60)

    expected = "Weights: runs/toy/weights.safetensors\nStopped. The same command goes on from runs/toy.\n"
    assert (process.returncode, said) == (0, expected), complaints
    assert "Traceback" not in complaints
    assert read_checkpoint(folder / "runs/toy/checkpoint.pt")["step"] >= 1


def test_check_counts_pictures_and_writes_a_sheet(call, folder):
    (folder / "toy.toml").write_text(RECIPE)

    code, output = call("check", "toy.toml", "--data", ".")

    assert code == 0
    assert "parameters to train beside 0 frozen ones, 3 steps" in output
    assert "phase.0: 0.0 GiB; " in output
    assert ": 2 pictures" in output
    assert output.splitlines()[-1] == "toy_check.png"
    assert min(read_rgb(folder / "toy_check.png").shape[1:]) > 16


def test_check_names_a_broken_picture_and_a_small_one(call, folder):
    (folder / "toy.toml").write_text(RECIPE)
    (folder / "photos/broken.png").write_bytes((folder / "photos/a.png").read_bytes()[:90])
    write_photo(folder / "photos/tiny.png", Photo(torch.zeros(3, 8, 9)))

    code, output = call("check", "toy.toml", "--data", ".")

    assert code == 1
    assert ": 2 pictures" in output
    assert "photos/broken.png" in output
    assert "tiny is 9x8, too small to cut 16x16 from" in output
    assert not (folder / "toy_check.png").exists()


def test_check_names_a_broken_picture_of_a_benchmark(call, folder):
    (folder / "toy.toml").write_text(RECIPE + '[[validation]]\nbenchmark = "held.toml"\n')
    (folder / "held.toml").write_text(BENCHMARK)
    (folder / "held").mkdir()
    photo = (folder / "photos/a.png").read_bytes()
    (folder / "held/a.png").write_bytes(photo[:90])
    (folder / "held/b.png").write_bytes(photo)

    code, output = call("check", "toy.toml", "--data", ".")

    assert code == 1
    assert "Held out: 1 pictures\n" in output
    assert "held/a.png" in output


@pytest.mark.parametrize(
    ("addition", "said"),
    [
        ('[[validation]]\nbenchmark = "absent"\n', "no benchmark 'absent'; there are: "),
        ('[[data]]\ndataset = { name = "clean_folder", root = "photos" }\n', "has clean photos only"),
    ],
)
def test_checking_a_wrong_recipe_is_one_sentence_and_code_2(call, folder, addition, said):
    (folder / "toy.toml").write_text(RECIPE + addition)

    code, output = call("check", "toy.toml", "--data", ".")

    assert code == 2
    assert said in output.splitlines()[-1]
    assert not (folder / "toy_check.png").exists()
