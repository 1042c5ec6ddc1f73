"""Our scores among those that papers report on the same benchmark, and why they may not compare."""

from collections.abc import Mapping, Sequence

from dino_ir.benchmark import Benchmark
from dino_ir.evaluation import Row, as_markdown, mean
from dino_ir.reported import METRICS, Reported, reported_for
from dino_ir.scoring import Scores

__all__ = ["as_text", "beside_reported", "differences", "left_out"]

_HEADS = ("restorer", "PSNR", "SSIM", "LPIPS", "FID", "parameters", "table", "source", "note", "comparable")

_DIGITS = {"psnr": 2, "ssim": 3, "lpips": 3, "fid": 2}


def differences(benchmark: Benchmark, scored: int, reported: Reported) -> list[str]:
    """Why a reported score may not be compared with ours: in data, in how it was taken; empty if for nothing.

    Args:
        scored: how many photos ours is of.
    """
    reasons: list[str] = []
    if benchmark.expected is not None and scored != benchmark.expected:
        reasons.append(f"ours is of {scored} of {benchmark.expected} photos")
    if not reported.protocol:
        reasons.append("how it was scored is not said")
    elif reported.protocol != benchmark.protocol.name:
        reasons.append(f"scored by {reported.protocol}, ours by {benchmark.protocol.name}")
    return reasons


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
    ours = mean(rows, benchmark.protocol).scores
    lines = [(row.scores["psnr"], _line(row, differences(benchmark, len(rows), row))) for row in others]
    lines.append((ours["psnr"], _ours(restorer, ours)))
    lines.sort(key=lambda line: -line[0])
    shown = [column for column in range(len(_HEADS)) if any(cells[column] for _, cells in lines)]
    table = [_HEADS, ["---"] * len(_HEADS), *(cells for _, cells in lines)]
    whole = "" if benchmark.expected in (None, len(rows)) else f" of {benchmark.expected}"
    known = [("Shares photos with training", benchmark.shared), ("Note", benchmark.note)]
    notes = [f"{word}: {text}." for word, text in known if text]
    return "\n".join(
        [
            f"**{benchmark.title}**, photos: {len(rows)}{whole}, scored by {benchmark.protocol.name}.",
            *notes,
            "",
        ]
        + [f"| {' | '.join(cells[column] for column in shown)} |" for cells in table]
    )


def _line(row: Reported, reasons: Sequence[str]) -> list[str]:
    verdict = f"not comparable: {'; '.join(reasons)}" if reasons else "yes"
    return [row.restorer, *_scores(row.scores), row.parameters, row.table, row.source, row.note, verdict]


def _ours(restorer: str, scores: Mapping[str, float]) -> list[str]:
    return [f"**{restorer}**", *_scores(scores), "", "here", "", "", "–"]


def _scores(scores: Mapping[str, float]) -> list[str]:
    return [f"{scores[name]:.{_DIGITS[name]}f}" if name in scores else "" for name in METRICS]


def as_text(scores: Scores, restorer: str) -> str:
    """The Markdown of several benchmarks: our table, what ran the restorer, and what is reported on each."""
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
    return "\n\n".join(filter(None, [table, run, *reported]))


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
