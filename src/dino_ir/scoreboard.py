"""Our scores among those that papers report on the same benchmark, and why they may not compare."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from dino_ir.benchmark import Benchmark
from dino_ir.evaluation import Row, as_markdown, mean
from dino_ir.protocol import Protocol, read_protocol
from dino_ir.reported import METRICS, Reported, Table, reported_for, reported_names, reported_table
from dino_ir.scoring import Scores

__all__ = ["as_text", "beside_averages", "beside_reported", "differences", "left_out"]

_HEADS = ("restorer", "PSNR", "SSIM", "LPIPS", "FID", "parameters", "table", "source", "note", "comparable")

_DIGITS = {"psnr": 2, "ssim": 3, "lpips": 3, "fid": 2}


def differences(benchmark: Benchmark, scored: int, reported: Reported) -> list[str]:
    """Why a reported score may not be compared with ours: in data, in how it was taken; empty if for nothing.

    Args:
        scored: how many photos ours is of.
    """
    return [
        *_other_photos(benchmark, scored),
        *_other_rule(benchmark.protocol, reported.protocol),
        *([reported.differs] if reported.differs else []),
        *(["the print is doubted"] if reported.is_doubtful else []),
    ]


def _other_photos(benchmark: Benchmark, scored: int) -> Iterator[str]:
    if not benchmark.is_shipped:
        yield "ours is by another file than the package's"
    if benchmark.expected is None:
        yield "number of photos not known"
    elif scored != benchmark.expected:
        yield f"ours is of {scored} of {benchmark.expected} photos"


def _other_rule(ours: Protocol, name: str) -> Iterator[str]:
    if not name:
        yield "how it was scored is not said"
    elif ours != read_protocol(name):
        yield f"scored by {name}, ours by {'another ' if ours.name == name else ''}{ours.name}"


def beside_reported(name: str, benchmark: Benchmark, rows: Sequence[Row], restorer: str) -> str:
    """A Markdown table of all that is reported on a benchmark, the best first, with ours in its place.

    Args:
        name: of the benchmark.
        rows: ours.
        restorer: what ours is called.

    Returns:
        "" where nothing is reported.
    """
    others = reported_for(name)
    if not others:
        return ""
    whole = "" if benchmark.expected in (None, len(rows)) else f" of {benchmark.expected}"
    head = f"**{benchmark.title}**, photos: {len(rows)}{whole}, scored by {benchmark.protocol.name}."
    known = [("Shares photos with training", benchmark.shared), ("Note", benchmark.note)]
    notes = [f"{word}: {text}." for word, text in known if text]
    judged = [(row, differences(benchmark, len(rows), row)) for row in others]
    ours = mean(rows, benchmark.protocol).scores
    return "\n".join([head, *notes, *_table_notes(others), "", *_table(judged, restorer, ours)])


def beside_averages(table: Table, scores: Scores, restorer: str) -> str:
    """A Markdown table of the averages that a paper's table prints, with ours over the same benchmarks.

    Args:
        table: what is reported.
        scores: ours.
        restorer: what ours is called.

    Returns:
        "" where no average is printed, or a benchmark of the table is not scored.
    """
    if not table.averages or not set(table.benchmarks) <= scores.rows.keys():
        return ""
    ours = [(scores.benchmarks[name], scores.rows[name]) for name in table.benchmarks]
    means = [mean(rows, benchmark.protocol).scores for benchmark, rows in ours]
    average = {key: fmean(each[key] for each in means) for key in means[0] if all(key in e for e in means)}
    judged: list[tuple[Reported, list[str]]] = []
    for row in table.averages:
        reasons = (reason for benchmark, rows in ours for reason in differences(benchmark, len(rows), row))
        judged.append((row, list(dict.fromkeys(reasons))))
    head = f"**Average over {', '.join(table.benchmarks)}**, each of the same weight."
    return "\n".join([head, *_table_notes(table.averages), "", *_table(judged, restorer, average)])


def _table_notes(rows: Sequence[Reported]) -> list[str]:
    notes = {row.table: row.table_note for row in rows}
    return [f'"{table}": {note}.' for table, note in notes.items() if note]


def _table(
    judged: Sequence[tuple[Reported, Sequence[str]]], restorer: str, ours: Mapping[str, float]
) -> list[str]:
    """The best PSNR first; columns that nobody has are left out."""
    lines = [(row.scores["psnr"], _line(row, reasons)) for row, reasons in judged]
    lines.append((ours["psnr"], _ours(restorer, ours)))
    lines.sort(key=lambda line: -line[0])
    shown = [column for column in range(len(_HEADS)) if any(cells[column] for _, cells in lines)]
    table = [_HEADS, ["---"] * len(_HEADS), *(cells for _, cells in lines)]
    return [f"| {' | '.join(cells[column] for column in shown)} |" for cells in table]


def _line(row: Reported, reasons: Sequence[str]) -> list[str]:
    verdict = f"not comparable: {'; '.join(reasons)}" if reasons else "yes"
    scores = _scores(row.scores, "?" if row.is_doubtful else "")
    return [row.restorer, *scores, row.parameters, row.table, row.source, row.note, verdict]


def _ours(restorer: str, scores: Mapping[str, float]) -> list[str]:
    return [f"**{restorer}**", *_scores(scores), "", "here", "", "", "–"]


def _scores(scores: Mapping[str, float], doubt: str = "") -> list[str]:
    return [f"{scores[name]:.{_DIGITS[name]}f}{doubt}" if name in scores else "" for name in METRICS]


def as_text(scores: Scores, restorer: str) -> str:
    """The Markdown of several benchmarks: our table, what ran the restorer, and what is reported on each.

    At the end stand the averages of reported tables all of whose benchmarks are scored.
    """
    benchmarks = scores.benchmarks.values()
    table = as_markdown(
        {benchmark.title: rows for benchmark, rows in zip(benchmarks, scores.rows.values())},
        {benchmark.title: benchmark.protocol for benchmark in benchmarks},
    )
    run = f"Run by {scores.program}." if scores.program else ""
    title = f"{restorer}, {scores.program}" if scores.program else restorer
    reported = (
        beside_reported(name, benchmark, scores.rows[name], title)
        for name, benchmark in scores.benchmarks.items()
    )
    averages = (beside_averages(reported_table(name), scores, title) for name in reported_names())
    return "\n\n".join(filter(None, [table, run, *reported, *averages]))


def left_out(scores: Scores) -> list[str]:
    """A line for each source whose benchmarks are not here, and each reason why others were not scored."""
    missing = [f"not here: {names}, from {source}" for source, names in _named(scores.missing).items()]
    if missing:
        missing.append("name one of these to be told what goes where")
    return missing + [f"not scored: {names}: {reason}" for reason, names in _named(scores.failed).items()]


def _named(reasons: Mapping[str, str]) -> dict[str, str]:
    """Names of benchmarks, by what is said of all of them."""
    named: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        named.setdefault(reason, []).append(name)
    return {reason: ", ".join(names) for reason, names in named.items()}
