"""Mean PSNR of several restorers on every benchmark that any of them was scored on.

python bench/means.py results/identity results/dino_ir_tiny ...

Each folder is one that `dino-ir evaluate -o` wrote. A star: the restorer was told what only a benchmark
knows.
"""

import csv
import sys
from pathlib import Path


def main() -> None:
    """Print a Markdown table: a row for each benchmark, a column for each folder."""
    folders = [Path(name) for name in sys.argv[1:]]
    names = sorted({path.stem for folder in folders for path in folder.glob("*.csv")})
    print(f"| benchmark | photos | {' | '.join(folder.name for folder in folders)} |")
    print(f"|---|---:|{'---:|' * len(folders)}")
    for name in names:
        cells = {folder.name: read(folder / f"{name}.csv") for folder in folders}
        numbers = {number for number, _text in cells.values() if number}
        photos = "/".join(str(number) for number in sorted(numbers))
        print(f"| {name} | {photos} | {' | '.join(text for _number, text in cells.values())} |")


def read(path: Path) -> tuple[int, str]:
    """How many photos a file has rows of, and their mean."""
    if not path.exists():
        return 0, "–"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    mean = sum(float(row["psnr"]) for row in rows) / len(rows)
    return len(rows), f"{mean:.2f}{'*' if rows[0].get('told') == 'True' else ''}"


if __name__ == "__main__":
    main()
