"""Scores that papers report, as data: tables as they are printed, a file each in `reported/`.

A table is a TOML file: `title`; `source`, where it is printed; `protocol`, by which it was scored;
`benchmarks`, the columns by name; `sources`, names of places that single rows are from; `note`; and `rows`,
each with `restorer`, `scores` ("27.94/.962 34.90/.967": PSNR, SSIM and so on, "-" where there is none, a
final "?" where the print is doubted) and, where known, `average` as printed, `parameters`, `source`, `note`.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["METRICS", "Reported", "Table", "reported_for", "reported_names", "reported_table"]

METRICS = ("psnr", "ssim", "lpips", "fid")
"""The metrics of a cell, in their order."""

_SHIPPED = Path(__file__).parent / "reported"


class Table(NamedTuple):
    """A table of a paper: one row per restorer, one column per benchmark."""

    title: str
    source: str
    protocol: str  # the name of a protocol; "" where nobody says
    benchmarks: tuple[str, ...]
    rows: tuple["Reported", ...]
    note: str = ""


class Reported(NamedTuple):
    """What is reported of one restorer on one benchmark."""

    restorer: str
    benchmark: str
    scores: Mapping[str, float]  # by metric
    table: str  # the title of the table
    protocol: str
    source: str
    parameters: str = ""
    note: str = ""


def reported_names() -> list[str]:
    """The tables that come with the package, in alphabetical order."""
    return sorted(path.stem for path in _SHIPPED.glob("*.toml"))


@cache
def reported_table(name: str) -> Table:
    """Read one table: a row for each of its cells that holds a score, restorer by restorer."""
    table = tomllib.loads((_SHIPPED / f"{name}.toml").read_text(encoding="utf-8"))
    benchmarks = tuple(table["benchmarks"])
    rows = [
        _cell(table, row, benchmark, printed)
        for row in table["rows"]
        for benchmark, printed in zip(benchmarks, row["scores"].split(), strict=True)
        if printed != "-"
    ]
    return Table(
        table["title"],
        table["source"],
        table.get("protocol", ""),
        benchmarks,
        tuple(rows),
        table.get("note", ""),
    )


def reported_for(benchmark: str) -> list[Reported]:
    """All that is reported on a benchmark, the best PSNR first."""
    tables = [reported_table(name) for name in reported_names()]
    rows = [row for table in tables for row in table.rows if row.benchmark == benchmark]
    return sorted(rows, key=lambda row: -row.scores["psnr"])


def _cell(table: Mapping[str, Any], row: Mapping[str, str], benchmark: str, printed: str) -> Reported:
    notes = [row.get("note", ""), "doubtful print" if printed.endswith("?") else ""]
    scores = (float(number) for number in printed.rstrip("?").split("/"))
    return Reported(
        restorer=row["restorer"],
        benchmark=benchmark,
        scores=dict(zip(METRICS, scores)),
        table=table["title"],
        protocol=table.get("protocol", ""),
        source=table.get("sources", {}).get(row.get("source", ""), table["source"]),
        parameters=row.get("parameters", ""),
        note=", ".join(note for note in notes if note),
    )
