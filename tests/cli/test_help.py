"""Help, wrong options, and the verbs that tell: list and doctor."""

import re
import subprocess
import sys

import pytest
import torch
from typer.main import get_command

import dino_ir
from dino_ir.catalog import names
from dino_ir.cli import app

PROGRAM = [sys.executable, "-c", "from dino_ir.cli import app; app()"]
VERBS = (
    "restore",
    "cluster",
    "train",
    "evaluate",
    "score",
    "reproduce",
    "figure",
    "export",
    "degrade",
    "check",
    "list",
    "doctor",
    "demo",
    "weights",
)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_each_of_its_options_is_explained(call, verb):
    command = get_command(app).commands[verb]

    code, _output = call(verb, "--help")

    assert code == 0
    assert re.match(r"[A-Z].*\.", command.help)
    assert [parameter.name for parameter in command.params if not getattr(parameter, "help", None)] == []


def test_these_are_all_the_verbs():
    assert tuple(get_command(app).commands) == VERBS


def test_the_version_is_told(call):
    assert call("--version") == (0, f"dino-ir {dino_ir.__version__}\n")


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
def test_a_wrong_option_is_code_2(call, words):
    code, output = call(*words)

    assert code == 2
    assert "Usage: dino-ir" in output


def test_list_shows_a_shelf_or_all(call):
    one, every = call("list", "networks"), call("list")

    assert one[0] == every[0] == 0
    assert [line.split()[0] for line in one[1].splitlines()] == ["networks", *names("networks")]
    assert one[1] in every[1]


def test_doctor_tells_versions(call):
    _code, output = call("doctor")

    assert f"torch                    {torch.__version__.partition('+')[0]}" in output  # as pip has it
    assert re.search(r"^devices +cpu", output, re.MULTILINE)


def test_a_real_process_complains_on_stderr_alone():
    shown = subprocess.run([*PROGRAM, "list", "networkz"], capture_output=True, text=True)

    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr.startswith("dino-ir: no shelf 'networkz'")
    assert len(shown.stderr.splitlines()) == 1
