"""Every verb, as a user types it."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from typer.main import get_command
from typer.testing import CliRunner

from dino_ir.catalog import build
from dino_ir.cli import app
from dino_ir.files.checkpoint import read_checkpoint
from dino_ir.files.images import Photo, read_photo, read_rgb, write_photo
from dino_ir.files.weights import read_weights, write_weights

PROGRAM = [sys.executable, "-c", "from dino_ir.cli import app; app()"]
VERBS = ("restore", "train", "evaluate", "degrade", "check", "list", "doctor", "demo")
PLAIN = {
    "name": "plain",
    "network": {"name": "nafnet", "width": 4, "encoder": [1], "middle": 1, "decoder": [1]},
}
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
title = "Two photos"
task = "denoise"
dataset = { name = "clean_folder", root = "photos" }
degradation = { name = "gaussian_noise", sigma = 25 }
"""


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
    """Untrained weights of a tiny network."""
    torch.manual_seed(0)
    write_weights(folder / "tiny.safetensors", build("restorers", PLAIN), {"restorer": PLAIN})
    return "tiny.safetensors"


def call(*words):
    """The exit code and all that was said, without the frames around it."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def assert_one_sentence(output, *parts):
    (line,) = output.strip().splitlines()
    assert line.startswith("dino-ir: ")
    assert all(part in line for part in parts), line


# --- help -------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_each_of_its_options_is_explained(verb):
    command = get_command(app).commands[verb]

    code, _output = call(verb, "--help")

    assert code == 0
    assert re.match(r"[A-Z].*\.", command.help)
    assert [parameter.name for parameter in command.params if not getattr(parameter, "help", None)] == []


def test_these_are_all_the_verbs():
    _code, output = call("--help")

    assert re.findall(r"^│ (\w+) ", output, re.MULTILINE) == list(VERBS)


def test_the_version_is_told():
    assert call("--version") == (0, "dino-ir 0.1.0\n")


@pytest.mark.parametrize(
    "words",
    [
        ["restore"],
        ["restore", "a.png", "--tile", "0"],
        ["restore", "a.png", "--tile", "huge"],
        ["restore", "a.png", "--strength", "2"],
        ["restore", "a.png", "--streng", "1"],
        ["train", "a.toml", "--workers", "-1"],
        ["repair", "a.png"],
    ],
    ids=" ".join,
)
def test_a_wrong_option_is_code_2(words):
    code, output = call(*words)

    assert code == 2
    assert "Usage: dino-ir" in output


# --- restore ----------------------------------------------------------------------------------


def test_the_result_lies_beside_the_photo(folder, weights):
    code, output = call("restore", "photos/a.png", "--weights", weights)

    assert code == 0
    assert re.fullmatch(r"photos/a.png -> photos/a_restored.png \([\d.]+ s\)\n", output)
    assert read_rgb(folder / "photos/a_restored.png").shape == (3, 33, 40)


def test_several_photos_are_counted_in_the_end(folder, weights):
    call("restore", "photos/b.png", "--weights", weights)
    (folder / "photos/broken.png").write_bytes((folder / "photos/a.png").read_bytes()[:90])

    code, output = call("restore", "photos/broken.png", "photos", "--weights", weights)

    assert code == 1
    assert output.splitlines()[0].startswith("photos/broken.png failed: ")
    assert "photos/b.png skipped: photos/b_restored.png exists" in output
    assert output.splitlines()[-1] == "1 restored, 1 skipped, 1 failed"


def test_out_is_a_file_or_a_folder(folder, weights):
    call("restore", "photos/a.png", "-o", "one.jpg", "--weights", weights)
    call("restore", "photos", "-o", "all", "--weights", weights)

    assert (folder / "one.jpg").is_file()
    assert sorted(path.name for path in (folder / "all").iterdir()) == ["a.png", "b.png"]


def test_a_result_is_replaced_only_if_one_says_so(folder, weights):
    write_photo(folder / "old.png", Photo(torch.zeros(3, 2, 2)))

    code, output = call("restore", "photos/a.png", "-o", "old.png", "--weights", weights)

    assert (code, output) == (0, "photos/a.png skipped: old.png exists\n")
    assert read_rgb(folder / "old.png").shape == (3, 2, 2)
    call("restore", "photos/a.png", "-o", "old.png", "--weights", weights, "--overwrite")
    assert read_rgb(folder / "old.png").shape == (3, 33, 40)


def test_strength_0_gives_the_very_pixels_and_1_does_not(folder, weights):
    for strength in (0, 1):
        call("restore", "photos/a.png", "-o", f"{strength}.png", "--weights", weights, "--strength", strength)

    original = read_photo(folder / "photos/a.png").pixels
    assert torch.equal(read_photo(folder / "0.png").pixels, original)
    assert not torch.equal(read_photo(folder / "1.png").pixels, original)


def test_tiles_change_little(folder, weights):
    for tile in ("off", "24"):
        call("restore", "photos/a.png", "-o", f"{tile}.png", "--weights", weights, "--tile", tile)

    whole, tiled = (read_photo(folder / f"{tile}.png").pixels for tile in ("off", "24"))
    assert whole.shape == tiled.shape
    assert (whole - tiled).abs().mean() < 0.05


@pytest.mark.parametrize(
    ("name", "content"),
    [("absent.png", None), ("text.png", b"Dear diary"), ("empty.jpg", b"")],
)
def test_a_photo_that_cannot_be_read_has_its_line_and_code_1(folder, weights, name, content):
    if content is not None:
        (folder / name).write_bytes(content)

    code, output = call("restore", name, "--weights", weights)

    assert code == 1
    assert output.startswith(f"{name} failed: ")
    assert len(output.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["photos", "-o", "one.png"], "name a folder instead"),
        (["photos/a.png", "photos/a.png", "-o", "photos"], "would replace the photo"),
        (["empty"], "holds no photos"),
        (["photos/a.png", "--weights", "absent"], "no weights 'absent'"),
        (["photos/a.png", "--weights", "photos/b.png"], "cannot be read as a weight file"),
        (["photos/a.png", "--device", "abacus"], "no device 'abacus'"),
    ],
)
def test_a_wrong_restore_is_one_sentence_and_code_2(folder, weights, words, said):
    (folder / "empty").mkdir()
    if "--weights" not in words:
        words = [*words, "--weights", weights]

    code, output = call("restore", *words)

    assert code == 2
    assert_one_sentence(output, said)
    assert not list(folder.rglob("*_restored*"))


# --- train ------------------------------------------------------------------------------------


def test_a_run_is_stopped_and_continued_by_the_same_command(folder):
    (folder / "toy.toml").write_text(RECIPE)

    first = call("train", "toy.toml", "--data", ".", "--max-minutes", "0")
    stopped_at = read_checkpoint(folder / "runs/toy/checkpoint.pt")["step"]
    second = call("train", "toy.toml", "--data", ".")

    assert (first[0], stopped_at) == (0, 1)
    assert "Stopped. The same command goes on from runs/toy." in first[1]
    assert (second[0], second[1].splitlines()[-1]) == (0, "Weights: runs/toy/weights.safetensors")
    steps = [json.loads(line)["step"] for line in (folder / "runs/toy/log.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3]


def test_what_was_trained_restores_and_starts_another_run(folder):
    (folder / "toy.toml").write_text(RECIPE)
    call("train", "toy.toml", "--data", ".", "--set", "phase.0.steps=1", "-o", "first")

    restored = call("restore", "photos/a.png", "--weights", "first/weights.safetensors")
    again = call("train", "toy.toml", "--data", ".", "-o", "second", "--init", "first/weights.safetensors")

    assert (restored[0], again[0]) == (0, 0)
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
    ],
)
def test_a_wrong_training_is_one_sentence_and_code_2(folder, words, said):
    (folder / "toy.toml").write_text(RECIPE)

    code, output = call("train", *words)

    assert code == 2
    assert said in output.splitlines()[-1]
    assert "Traceback" not in output


def test_a_run_that_fails_is_one_sentence_and_code_1(folder):
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

    assert (process.returncode, said) == (0, "Stopped. The same command goes on from runs/toy.\n"), complaints
    assert "Traceback" not in complaints
    assert read_checkpoint(folder / "runs/toy/checkpoint.pt")["step"] >= 1


# --- evaluate ---------------------------------------------------------------------------------


def test_identity_scores_as_its_input(folder):
    (folder / "two.toml").write_text(BENCHMARK)

    code, output = call("evaluate", "two.toml", "--restorer", "identity", "--data", ".", "-o", "scores")

    heads, _line, row = ([cell.strip() for cell in line.split("|")[1:-1]] for line in output.splitlines())
    assert (code, heads[:2], row[:2]) == (0, ["benchmark", "images"], ["Two photos", "2"])
    # Noise of sigma 25, a little less of it for what is clipped.
    assert 20.1 < float(row[2]) < 22
    assert row[2] == row[3]
    assert sorted(path.name for path in (folder / "scores").iterdir()) == ["table.md", "two.csv"]
    assert (folder / "scores/table.md").read_text() == output


def test_weights_are_scored_too(folder, weights):
    (folder / "two.toml").write_text(BENCHMARK)

    code, output = call("evaluate", "two.toml", "--weights", weights, "--data", ".")

    assert code == 0
    assert "| Two photos | 2 |" in output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rain"], "no benchmark 'rain'; there are: "),
        (["two.toml"], "--data DIR"),
        (["two.toml", "--data", "."], "no weights 'absent'"),
        (["two.toml", "--data", ".", "--restorer", "plain"], "restorers/plain"),
        (["two.toml", "--data", ".", "--restorer", "magic"], "no 'magic' in restorers/"),
    ],
)
def test_a_wrong_evaluation_is_one_sentence_and_code_2(folder, words, said):
    (folder / "two.toml").write_text(BENCHMARK)

    code, output = call("evaluate", *words, "--weights", "absent")

    assert code == 2
    assert_one_sentence(output, said)


# --- degrade, check, list, doctor -------------------------------------------------------------


def test_a_sheet_per_photo_shows_its_damage(folder):
    options = ["--with", "gaussian_noise", "--with", '{name="rain", strength="heavy"}', "--columns", "2"]

    code, output = call("degrade", "photos/a.png", "absent.png", "photos/b.png", *options)

    assert code == 1
    assert [line.split()[0] for line in output.splitlines()] == [
        "photos/a.png",
        "absent.png",
        "photos/b.png",
        "2",
    ]
    height, width = read_rgb(folder / "degraded/b.png").shape[1:]
    assert height >= 2 * 33
    assert width >= 3 * 40


def test_an_unknown_degradation_is_code_2(folder):
    code, output = call("degrade", "photos/a.png", "--with", "gaussian_nose")

    assert code == 2
    assert_one_sentence(output, "no 'gaussian_nose' in degradations/; there are: ")


def test_check_counts_pictures_and_writes_a_sheet(folder):
    (folder / "toy.toml").write_text(RECIPE)

    code, output = call("check", "toy.toml", "--data", ".")

    assert code == 0
    assert "parameters to train, 3 steps" in output
    assert ": 2 pictures" in output
    assert output.splitlines()[-1] == "toy_check.png"
    assert min(read_rgb(folder / "toy_check.png").shape[1:]) > 16


def test_check_names_a_broken_picture_and_a_small_one(folder):
    (folder / "toy.toml").write_text(RECIPE)
    (folder / "photos/broken.png").write_bytes((folder / "photos/a.png").read_bytes()[:90])
    write_photo(folder / "photos/tiny.png", Photo(torch.zeros(3, 8, 9)))

    code, output = call("check", "toy.toml", "--data", ".")

    assert code == 1
    assert ": 2 pictures" in output
    assert "photos/broken.png" in output
    assert "tiny is 9x8, too small to cut 16x16 from" in output
    assert not (folder / "toy_check.png").exists()


def test_list_shows_a_shelf_or_all():
    one, every = call("list", "networks"), call("list")

    assert one[0] == every[0] == 0
    assert [line.split()[0] for line in one[1].splitlines()] == ["networks", "nafnet", "restormer"]
    assert one[1] in every[1]


def test_doctor_tells_versions():
    _code, output = call("doctor")

    assert f"torch                    {torch.__version__}" in output.splitlines()
    assert re.search(r"^devices +cpu", output, re.MULTILINE)


def test_a_real_process_complains_on_stderr_alone():
    shown = subprocess.run([*PROGRAM, "list", "networkz"], capture_output=True, text=True)

    assert (shown.returncode, shown.stdout) == (2, "")
    assert_one_sentence(shown.stderr, "no shelf 'networkz'")
