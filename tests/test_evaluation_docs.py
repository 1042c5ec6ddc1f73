"""docs/evaluation.md lists what the package has, and says of it what the files say."""

import re
import tomllib
from pathlib import Path

import pytest

import dino_ir

PACKAGE = Path(dino_ir.__file__).parent
PAGE = (Path(__file__).parents[1] / "docs" / "evaluation.md").read_text(encoding="utf-8")
ROW = r"^\| `(\w+)` \|"
PARTS = dict(zip(("protocols", "benchmarks"), PAGE.split("## Benchmarks")))
FILES = [path for folder in PARTS for path in sorted((PACKAGE / folder).glob("*.toml"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name} {path.stem}")
def test_the_page_has_a_row_for_each_file(path):
    table = tomllib.loads(path.read_text(encoding="utf-8"))

    (row,) = re.findall(rf"^\| `{path.stem}` \| .*$", PARTS[path.parent.name], re.MULTILINE)

    assert f"| {table['title']} |" in row
    assert table["source"] in row
    assert "images" not in table or f"| {table['images']:,} |" in row


def test_the_page_has_no_row_without_a_file():
    rows = [(part, row) for part, text in PARTS.items() for row in re.findall(ROW, text, re.MULTILINE)]

    assert rows == [(path.parent.name, path.stem) for path in FILES]


@pytest.mark.parametrize("path", sorted((PACKAGE / "reported").glob("*.toml")), ids=lambda path: path.stem)
def test_the_page_has_each_reported_table(path):
    assert f"| {tomllib.loads(path.read_text(encoding='utf-8'))['title']} |" in PAGE
