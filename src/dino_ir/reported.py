"""Scores that papers report, as data: tables as they are printed, a file each in `reported/`.

A table is a TOML file: `title`; `source`, where it is printed; `protocol`, by which it was scored;
`benchmarks`, the columns by name; `sources`, names of places that single rows are from; `note`; `differs`,
why its scores are not comparable with any that are taken here; and `rows`, each with `restorer`, `scores`
("27.94/.962 34.90/.967": PSNR, SSIM and so on, "-" where there is none, a final "?" where the print is
doubted; left out where the average alone is known) and, where known, `average` as printed, `parameters`,
`source`, `note`, `differs`.
"""

import tomllib
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["METRICS", "Reported", "Table", "reported_for", "reported_names", "reported_table", "spell_out"]

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
    averages: tuple["Reported", ...]  # over all benchmarks, as printed
    note: str = ""
    differs: str = ""  # why its scores are not comparable with any that are taken here


class Reported(NamedTuple):
    """What is reported of one restorer on one benchmark."""

    restorer: str
    benchmark: str  # "" for the average over all of the table's
    scores: Mapping[str, float]  # by metric
    table: str  # the title of the table
    protocol: str
    source: str
    parameters: str = ""
    note: str = ""
    table_note: str = ""
    differs: str = ""  # as a table's, or of this row alone
    is_doubtful: bool = False  # the print cannot be right


def reported_names() -> list[str]:
    """The tables that come with the package, in alphabetical order."""
    return sorted(path.stem for path in _SHIPPED.glob("*.toml"))


@cache
def reported_table(name: str) -> Table:
    """Read one table: a row for each of its cells that holds a score, and for each average."""
    table = tomllib.loads((_SHIPPED / f"{name}.toml").read_text(encoding="utf-8"))
    benchmarks = tuple(table["benchmarks"])
    rows = [
        _cell(table, row, benchmark, printed)
        for row in table["rows"]
        if "scores" in row
        for benchmark, printed in zip(benchmarks, row["scores"].split(), strict=True)
        if printed != "-"
    ]
    averages = [_cell(table, row, "", row["average"]) for row in table["rows"] if "average" in row]
    return Table(
        table["title"],
        table["source"],
        table.get("protocol", ""),
        benchmarks,
        tuple(rows),
        tuple(averages),
        table.get("note", ""),
        table.get("differs", ""),
    )


def reported_for(benchmark: str) -> list[Reported]:
    """All that is reported on a benchmark, the best PSNR first."""
    tables = [reported_table(name) for name in reported_names()]
    rows = [row for table in tables for row in table.rows if row.benchmark == benchmark]
    return sorted(rows, key=lambda row: -row.scores["psnr"])


def spell_out(names: Iterable[str | Path], benchmarks: Collection[str]) -> list[str | Path]:
    """Names, with that of a table replaced by its benchmarks, in order, unless a benchmark has it too."""
    tables = {name: reported_table(name).benchmarks for name in reported_names() if name not in benchmarks}
    return [each for name in names for each in tables.get(str(name), (name,))]


def _cell(table: Mapping[str, Any], row: Mapping[str, str], benchmark: str, printed: str) -> Reported:
    scores = (float(number) for number in printed.rstrip("?").split("/"))
    return Reported(
        restorer=row["restorer"],
        benchmark=benchmark,
        scores=dict(zip(METRICS, scores)),
        table=table["title"],
        protocol=table.get("protocol", ""),
        source=table.get("sources", {}).get(row.get("source", ""), table["source"]),
        parameters=row.get("parameters", ""),
        note=row.get("note", ""),
        table_note=table.get("note", ""),
        differs=row.get("differs", table.get("differs", "")),
        is_doubtful=printed.endswith("?"),
    )
