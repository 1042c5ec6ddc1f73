"""What papers report is typed as it is printed: averages in print are the means of their rows."""

import tomllib
from pathlib import Path
from statistics import fmean

import pytest

from dino_ir import reported as reported_module
from dino_ir.benchmark import benchmark_names
from dino_ir.protocol import protocol_names
from dino_ir.reported import reported_for, reported_names, reported_table, spell_out

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
    table = reported_table(name)

    for row in (*table.rows, *table.averages):
        assert 10 < row.scores["psnr"] < 50, row
        assert 0 < row.scores.get("ssim", 0.5) < 1, row
        assert row.source


@pytest.mark.parametrize(
    ("name", "row"), AVERAGED, ids=[f"{name} {row['restorer']}" for name, row in AVERAGED]
)
def test_printed_averages_are_the_means_of_what_is_typed(name, row):
    cells = [cell.split("/") for cell in row.get("scores", "").split()]

    for place, printed in enumerate(row["average"].split("/")):
        scores = [float(cell[place]) for cell in cells if len(cell) > place]
        if "average" not in row.get("note", "") and len(scores) == len(cells) > 0:
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
    doubted = [row for name in reported_names() for row in reported_table(name).rows if row.is_doubtful]

    assert {(row.restorer, row.benchmark) for row in doubted} == {
        ("IRCNN", "urban100_noise15"),
        *((restorer, "rain100l") for restorer in ("AirNet", "PromptIR", "DINO-IR")),
    }


def test_an_average_stands_for_all_benchmarks_also_where_nothing_else_is_known():
    table = reported_table("p3")

    by_name = {row.restorer: row for row in table.averages}
    assert by_name["PromptIR"].scores == {"psnr": 32.06, "ssim": 0.913}
    assert by_name["PromptIR"].benchmark == ""
    assert by_name["R2R"].scores == {"psnr": 32.53}
    assert "R2R" not in {row.restorer for row in table.rows}
    assert "excerpt" in by_name["R2R"].source


def test_daclips_ten_are_known_by_their_averages_alone():
    table = reported_table("daclip_ten")

    assert set(table.benchmarks) == {name for name in benchmark_names() if name.startswith("daclip_")}
    assert table.rows == ()
    assert table.averages[0].scores == {"psnr": 27.22, "ssim": 0.861, "lpips": 0.145, "fid": 47.94}


@pytest.mark.parametrize("name", ["dino_ir_1", "dino_ir_3", "dino_ir_4", "dino_ir_6"])
def test_a_whole_table_differs_where_its_paper_does_not_say_what_was_scored(name):
    assert all("does not say" in row.differs for row in reported_table(name).rows)


@pytest.mark.parametrize(
    ("name", "restorer", "differs"),
    [("cdd11", "AllRestorer", "another setting"), ("p5", "D3Net", "its tests differ")],
)
def test_a_row_differs_alone(name, restorer, differs):
    rows = reported_table(name).rows

    assert {row.restorer: row.differs for row in rows if row.differs} == {restorer: differs}


def test_a_row_carries_what_is_said_of_its_table():
    (row, *_) = reported_table("dino_ir_2").rows

    assert row.table_note == "trained on BSD400 and WED, sigma 15, 25 and 50 together"


def test_the_name_of_a_table_stands_for_its_benchmarks_in_order():
    spelt = spell_out(["lol", "p3", "cdd11", Path("p3.toml")], benchmark_names())

    assert spelt == ["lol", *reported_table("p3").benchmarks, "cdd11", Path("p3.toml")]


def test_nothing_is_reported_on_what_nobody_knows():
    assert reported_for("mine") == []
