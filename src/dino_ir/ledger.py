"""The rows of a benchmark on disk, so that scoring can stop and go on: JSON lines and a CSV file."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dino_ir.errors import DataError
from dino_ir.evaluation import Row

__all__ = ["Ledger"]


class Ledger:
    """Rows of one benchmark in a folder: `NAME.jsonl`, which grows row by row, and `NAME.csv`.

    A line has all that is needed to take the row for what it is: `index`, `image`, `picture` (the digest of
    its pixels), the scores, those of the input as `input_psnr` and so on, `ms`, `peak_mib`, `told`; and what
    is common to a run: the digests of the restorer and the benchmark, the protocol, and the versions.

    Args:
        folder: it is made.
        name: of the benchmark.
        identity: what must be the same for a row to be kept.
        about: what is written beside it.
    """

    def __init__(
        self, folder: Path, name: str, identity: Mapping[str, str], about: Mapping[str, str] | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path, self.table = folder / f"{name}.jsonl", folder / f"{name}.csv"
        self.identity, self.about = dict(identity), dict(about or {})

    def refuse_others(self) -> None:
        """Refuse to go on with rows of another restorer, or mirrored otherwise, which would be lost.

        Raises:
            DataError: there are some.
        """
        ours, mirrored = self.identity["restorer_digest"], self.identity.get("mirrored", "no")
        for line in self._lines():
            if line.get("mirrored", "no") != mirrored:
                others = "as they are" if mirrored == "yes" else "mirrored, too"
                raise DataError(
                    f"{self.path} has rows of photos {others}: give another folder,"
                    " or replace them by --overwrite"
                )
            if line.get("restorer_digest", ours) != ours:
                other = line.get("restorer", "not named")
                raise DataError(
                    f"{self.path} has rows of another restorer ({other}): give another folder,"
                    " or replace them by --overwrite"
                )

    def kept(
        self,
        pictures: Sequence[str],
        metrics: Sequence[str],
        unsaid: Mapping[str, str] = MappingProxyType({}),
    ) -> dict[int, Row]:
        """The rows of an earlier run that are still true, by index.

        Args:
            pictures: digests of the images as they are now.
            metrics: that a row must have.
            unsaid: what holds for rows that say nothing of it, for they were written before it was said.

        Raises:
            DataError: as `refuse_others`.
        """
        self.refuse_others()
        rows: dict[int, Row] = {}
        for line in self._lines():
            index = line.get("index", -1)
            is_same = self.identity.items() <= {**unsaid, **line}.items() and index in range(len(pictures))
            if is_same and line.get("picture") == pictures[index] and set(metrics) <= line.keys():
                rows[index] = _row(line, metrics)
        return rows

    def add(self, index: int, row: Row, picture: str) -> None:
        """Append one row."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(self._line(index, row, picture)) + "\n")

    def close(self, rows: Mapping[int, Row], pictures: Sequence[str]) -> None:
        """Write the rows anew, in order and without those that are not true any more; and the CSV."""
        lines = [self._line(index, rows[index], pictures[index]) for index in sorted(rows)]
        unfinished = self.path.with_suffix(".unfinished")
        unfinished.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        unfinished.replace(self.path)
        with self.table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(lines[0]))
            writer.writeheader()
            writer.writerows(lines)

    def _lines(self) -> list[dict[str, Any]]:
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        return list(filter(None, map(_parse, lines)))

    def _line(self, index: int, row: Row, picture: str) -> dict[str, Any]:
        inputs = {f"input_{name}": score for name, score in row.input_scores.items()}
        scores = {name: _number(score) for name, score in (row.scores | inputs).items()}
        return {
            "index": index,
            "image": row.image,
            **scores,
            "ms": round(1000 * row.seconds, 1),
            "peak_mib": None if row.memory is None else round(row.memory / 2**20, 1),
            "told": row.is_told,
            "picture": picture,
            **self.identity,
            **self.about,
        }


def _number(score: float) -> float | str:
    return round(score, 6) if math.isfinite(score) else str(score)  # JSON has no infinity


def _parse(line: str) -> dict[str, Any] | None:
    try:
        return json.loads(line)
    except ValueError:  # cut off when the process died
        return None


def _row(line: Mapping[str, Any], metrics: Sequence[str]) -> Row:
    return Row(
        line["image"],
        {name: float(line[name]) for name in metrics},
        {name: float(line[f"input_{name}"]) for name in metrics},
        line["ms"] / 1000,
        line["told"],
        None if line["peak_mib"] is None else round(line["peak_mib"] * 2**20),
    )
