"""What the package shows: sorted, complete, and cheap to import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import dino_ir
from dino_ir import catalog

ROOT = Path(dino_ir.__file__).parent
FILES = sorted(path for path in ROOT.rglob("*.py") if path.name != "__init__.py")
PARTS = [(shelf, name) for shelf in catalog.SHELVES for name in catalog.names(shelf)]


def public_names(path):
    """The classes and functions a file defines without an underscore, its variables, and each `__all__`."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    defined = {node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    exported = [
        ast.literal_eval(node.value)
        for node in body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
    ]
    assigned = [node for node in body if isinstance(node, ast.Assign | ast.AnnAssign)]
    nodes = [node for statement in assigned for node in ast.walk(statement) if isinstance(node, ast.Name)]
    variables = {node.id for node in nodes if isinstance(node.ctx, ast.Store)}
    return {name for name in defined if not name.startswith("_")}, variables, exported


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_exports_are_declared_once_and_complete(path):
    defined, variables, exported = public_names(path)

    (names,) = exported
    assert len(names) == len(set(names))
    assert defined <= set(names) <= defined | variables


@pytest.mark.parametrize(("shelf", "name"), PARTS)
def test_every_part_has_a_one_line_summary(shelf, name):
    assert 10 < len(catalog.summary(shelf, name)) <= 110


def test_import_loads_neither_torch_nor_numpy():
    code = (
        "import dino_ir, dino_ir.cli, sys; print(sorted({'torch', 'numpy', 'pyvips'} & sys.modules.keys()))"
    )

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert shown.strip() == "[]"


def test_load_and_restore_are_found_on_first_use():
    from dino_ir.inference import load, restore

    assert dino_ir.load is load
    assert dino_ir.restore is restore
    with pytest.raises(AttributeError, match="no attribute 'restroe'"):
        _ = dino_ir.restroe
