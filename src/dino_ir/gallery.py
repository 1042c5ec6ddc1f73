"""The photos behind the scores as one page to be looked at, the worst first."""

import math
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from dino_ir.evaluation import Row
from dino_ir.page import Entry, open_page
from dino_ir.scoring import Shot

__all__ = ["open_gallery"]

_RANKS = ("by gain in PSNR over the input", "by PSNR where the input has no finite one")
_NEAR = 0.005  # dB: less is not seen in a table


@contextmanager
def open_gallery(path: Path, title: str) -> Generator[Callable[[str, Row, Shot], None]]:
    """Yield what `scoring.score_benchmarks` shows photos to; at the end the page appears, as by `open_page`.

    Photos come by their gain in PSNR; then, by PSNR, those whose gain is no number, such as undamaged ones.

    Args:
        path: the HTML file; its folder is made.
        title: above the photos.

    Raises:
        DataError: as `page.check_place`.
    """
    with open_page(path, title, ranks=_RANKS) as add:
        yield lambda benchmark, row, shot: add(_entry(benchmark, row, shot))


def _entry(benchmark: str, row: Row, shot: Shot) -> Entry:
    after = row.scores.get("psnr", math.nan)
    gain = after - row.input_scores.get("psnr", math.nan)
    rank, score = (0, gain) if math.isfinite(gain) else (1, after)
    degraded, restored, clean = shot.pictures
    return Entry(
        row.image,
        degraded,
        restored,
        clean,
        score=None if math.isnan(score) else score,
        caption=_caption(row, shot.row),
        group=benchmark,
        rank=rank,
    )


def _caption(row: Row, now: Row) -> str:
    words = [_change(name, row.input_scores[name], after) for name, after in row.scores.items()]
    words += ["restorer told"] if row.is_told else []
    again = now.scores.get("psnr", math.nan)
    if abs(again - row.scores.get("psnr", math.nan)) > _NEAR:
        words.append(f"scored by an earlier run: what is shown has a PSNR of {again:.2f}")
    return "; ".join(words)


def _change(name: str, before: float, after: float) -> str:
    digits = 2 if name == "psnr" else 4
    gain = after - before
    change = f" ({gain:+.{digits}f})" if math.isfinite(gain) else ""
    return f"{name.upper().replace('_', '-')} {_number(before, digits)} → {_number(after, digits)}{change}"


def _number(score: float, digits: int) -> str:
    return "–" if math.isnan(score) else f"{score:.{digits}f}"
