"""Mean PSNR of several restorers on every benchmark that any of them was scored on.

python bench/means.py results/identity results/dino_ir_tiny ...
python bench/means.py BEFORE NOW --paired: two restorers, and the photo that lost most, or gained least

Each folder is one that `dino-ir evaluate -o` wrote. A star: the restorer was told what only a benchmark
knows.
"""

import argparse
import csv
import math
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--paired", action="store_true")
    arguments = parser.parse_args()
    if not arguments.paired:
        print_means(arguments.folders)
    elif len(arguments.folders) == 2:
        print_pairs(*arguments.folders)
    else:
        parser.error("--paired takes two folders: before, and now")


def print_means(folders: list[Path]) -> None:
    """A row for each benchmark, a column for each folder."""
    names = sorted({path.stem for folder in folders for path in folder.glob("*.csv")})
    print(f"| benchmark | photos | {' | '.join(folder.name for folder in folders)} |")
    print(f"|---|---:|{'---:|' * len(folders)}")
    for name in names:
        cells = {folder.name: describe(folder / f"{name}.csv") for folder in folders}
        numbers = {number for number, _text in cells.values() if number}
        photos = "/".join(str(number) for number in sorted(numbers))
        print(f"| {name} | {photos} | {' | '.join(text for _number, text in cells.values())} |")


def print_pairs(before: Path, now: Path) -> None:
    """A row for each benchmark that both have, and the mean change of those whose photos are damaged."""
    changes: list[float] = []
    print("| benchmark | before | now | change | worst photo |")
    print("|---|---:|---:|---:|---:|")
    for path in sorted(now.glob("*.csv")):
        old, new = read(before / path.name), read(path)
        if not old:
            continue
        if [identity(row) for row in old] != [identity(row) for row in new]:
            raise SystemExit(f"{path.name}: the two folders have other photos, or another protocol")
        gains = [float(row["psnr"]) - float(other["psnr"]) for row, other in zip(new, old)]
        if all(math.isfinite(float(row["input_psnr"])) for row in new):
            changes.append(fmean(gains))
        means = (fmean(float(row["psnr"]) for row in rows) for rows in (old, new))
        cells = [*(f"{mean:.2f}" for mean in means), f"{fmean(gains):+.2f}", f"{min(gains):+.2f}"]
        print(f"| {path.stem} | {' | '.join(cells)} |")
    if changes:
        better = sum(change > 0 for change in changes)
        print(
            f"\nDamaged photos: {fmean(changes):+.2f} dB in the mean of {len(changes)} benchmarks;", end=" "
        )
        print(f"{better} are better.")


def identity(row: Mapping[str, str]) -> tuple[str, ...]:
    """What two rows must share to be compared."""
    return tuple(row[key] for key in ("image", "picture", "benchmark_digest", "protocol"))


def describe(path: Path) -> tuple[int, str]:
    """How many photos a file has rows of, and their mean."""
    rows = read(path)
    if not rows:
        return 0, "–"
    mean = fmean(float(row["psnr"]) for row in rows)
    return len(rows), f"{mean:.2f}{'*' if rows[0].get('told') == 'True' else ''}"


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a file; none where there is none."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
