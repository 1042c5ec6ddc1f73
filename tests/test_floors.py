"""Imports only go down, so the package has no circles and reads from the bottom up."""

import ast
import re
from pathlib import Path

import dino_ir

TABLE = (Path(__file__).parents[1] / "ARCHITECTURE.md").read_text(encoding="utf-8")
FLOORS = [
    set(re.findall(r"`(\w+)/?`", parts))
    for _floor, parts in re.findall(r"^\| (\d+) \| ([^|]+) \|", TABLE, flags=re.MULTILINE)
]
FLOOR_OF = {name: height for height, floor in enumerate(FLOORS) for name in floor}
ROOT = Path(dino_ir.__file__).parent


def imports(path):
    """The parts of our own package that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "dino_ir":
            yield [*node.module.split("."), "the package itself"][1]
        if isinstance(node, ast.Import):
            yield from ("the package itself" for alias in node.names if alias.name.split(".")[0] == "dino_ir")


def test_imports_only_go_down():
    for path in ROOT.rglob("*.py"):
        part = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if part != "__init__":
            for other in imports(path):
                assert FLOOR_OF.get(other, 99) < FLOOR_OF[part], f"{path.name} may not import {other}"


def test_every_file_has_a_floor():
    parts = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in ROOT.rglob("*.py")}

    assert parts - {"__init__"} == FLOOR_OF.keys()
