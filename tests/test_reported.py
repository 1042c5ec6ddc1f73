"""What papers report is typed as it is printed: averages in print are the means of their rows."""

import tomllib
from pathlib import Path
from statistics import fmean

import pytest

from dino_ir import reported as reported_module
from dino_ir.benchmark import benchmark_names
from dino_ir.protocol import protocol_names
from dino_ir.reported import reported_for, reported_names, reported_table

FOLDER = Path(reported_module.__file__).parent / "reported"
AVERAGED = [
    (name, row)
    for name in reported_names()
    for row in tomllib.loads((FOLDER / f"{name}.toml").read_text())["rows"]
    if "average" in row
]


@pytest.mark.parametrize("name", reported_names())
def test_a_table_names_benchmarks_and_a_protocol_that_there_are(name):
    table = reported_table(name)

    assert set(table.benchmarks) <= set(benchmark_names())
    assert table.protocol in {"", *protocol_names()}
    assert table.title
    assert table.source


@pytest.mark.parametrize("name", reported_names())
def test_every_score_is_one(name):
    for row in reported_table(name).rows:
        assert 10 < row.scores["psnr"] < 50, row
        assert 0 < row.scores.get("ssim", 0.5) < 1, row
        assert row.source


@pytest.mark.parametrize(
    ("name", "row"), AVERAGED, ids=[f"{name} {row['restorer']}" for name, row in AVERAGED]
)
def test_printed_averages_are_the_means_of_what_is_typed(name, row):
    cells = [cell.split("/") for cell in row["scores"].split()]

    for place, printed in enumerate(row["average"].split("/")):
        scores = [float(cell[place]) for cell in cells if len(cell) > place]
        if "average" not in row.get("note", "") and len(scores) == len(cells):
            assert fmean(scores) == pytest.approx(float(printed), abs=0.021 if place == 0 else 0.0021)


def test_a_benchmark_has_the_rows_of_all_tables_the_best_first():
    rows = reported_for("bsd68_noise25")

    assert {row.table for row in rows} == {
        reported_table(name).title for name in ("p3", "p5", "dino_ir_1", "dino_ir_2", "dino_ir_3")
    }
    assert [row.scores["psnr"] for row in rows] == sorted((row.scores["psnr"] for row in rows), reverse=True)


def test_the_papers_restorer_has_the_papers_numbers():
    (row,) = (row for row in reported_table("dino_ir_1").rows if row[:2] == ("DINO-IR", "did_blur"))

    assert row.scores == {"psnr": 32.11, "ssim": 0.903}
    assert row.source == "arXiv 2312.01677 v3"


def test_doubtful_prints_are_said_so():
    doubted = [
        row for name in reported_names() for row in reported_table(name).rows if "doubtful" in row.note
    ]

    assert {(row.restorer, row.benchmark) for row in doubted} == {
        ("IRCNN", "urban100_noise15"),
        *((restorer, "rain100l") for restorer in ("AirNet", "PromptIR", "DINO-IR")),
    }


def test_nothing_is_reported_on_what_nobody_knows():
    assert reported_for("mine") == []
