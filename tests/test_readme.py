"""What README.md tells users to type is understood."""

import ast
import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
from typer.main import get_command

from dino_ir.catalog import build
from dino_ir.cli import app
from dino_ir.recipe import Recipe

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)[^\n]*\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands():
    """The words of every line that calls dino-ir, without what a shell does with it."""
    lines = [line for _language, text in BLOCKS for line in text.replace("\\\n", " ").splitlines()]
    for line in lines:
        words = shlex.split(line.strip().removeprefix("$ "), comments=True)
        if words and Path(words[0]).name == "dino-ir":
            end = next((index for index, word in enumerate(words) if word in ("|", "&&", ";", ">")), None)
            yield words[1:end]


COMMANDS = list(commands())
WITH_RECIPE = [words for words in COMMANDS if len(words) > 1 and words[1].startswith("recipes/")]
PYTHON = [text for language, text in BLOCKS if language in ("python", "py")]


def test_it_shows_at_least_one_command():
    assert COMMANDS


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_is_one(words):
    program = get_command(app)
    with program.make_context("dino-ir", words.copy(), resilient_parsing=True):
        options = {option for parameter in program.params for option in parameter.opts}
    if words[0] in options:
        return

    verb = program.commands[words[0]]

    with verb.make_context(words[0], words[1:]) as context:
        assert context.command is verb


@pytest.mark.parametrize("words", WITH_RECIPE, ids=" ".join)
def test_every_recipe_builds_with_its_settings(words):
    settings = [value for key, value in pairwise(words) if key == "--set"]

    recipe = Recipe.read(ROOT / words[1], settings)

    assert build("restorers", recipe.restorer) if recipe.restorer else build("learners", recipe.learner)


@pytest.mark.parametrize("text", PYTHON)
def test_python_examples_import_what_there_is(text):
    tree = ast.parse(text)

    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]

    found = {}
    exec(compile(ast.Module(imports, type_ignores=[]), "README.md", "exec"), found)
    assert "dino_ir" in found
