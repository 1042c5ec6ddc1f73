"""Fig. 1 of DINO-IR: what more tasks cost, with and without guidance."""

import csv
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

from dino_ir.drawing import COLOURS, CURVE_MARKERS, Drawing, Material, new_figure
from dino_ir.errors import DataError
from dino_ir.reported import reported_table

__all__ = ["draw"]

_TASKS = {"b": "blur alone", "bn": "+ noise", "bnr": "+ rain", "bnrh": "+ haze"}
_OURS = {"plain": "network alone", "dino_ir": "guided"}  # how table6 names its arms


def draw(material: Material) -> Drawing:
    """PSNR on blur after training for one to four tasks: the difference of ends (a), and the curves (b).

    The paper's numbers are its Table 6; ours come from the `means.csv` of `dino-ir reproduce table6`.
    arXiv 2312.01677, Fig. 1.

    Raises:
        DataError: the CSV file is of another table.
    """
    curves = _reported()
    if material.means is not None:
        curves |= _ours(material.means)
    figure, axes = new_figure(1, 2, (11, 4), width_ratios=[1, 1.5])
    ends, lines = axes[0]
    for number, (name, curve) in enumerate(curves.items()):
        values, colour = list(curve.values()), COLOURS[number]
        ends.bar([number - 0.2, number + 0.2], [values[0], values[-1]], 0.36, color=[colour, "white"],
                 edgecolor=colour, hatch=["", "///"], linewidth=1.5)  # fmt: skip
        ends.text(
            number, max(values) + 0.02, f"{values[-1] - values[0]:+.2f} dB", ha="center", fontsize="small"
        )
        lines.plot(list(curve), values, color=colour, marker=CURVE_MARKERS[number], label=name)
    every = [value for curve in curves.values() for value in curve.values()]
    ends.set_ylim(min(every) - 0.2, max(every) + 0.2)
    ends.set_xticks(range(len(curves)), [name.replace(", ", "\n") for name in curves], fontsize="small")
    ends.set(title="a: blur alone (filled), all tasks (hatched); axis cut", ylabel="PSNR, dB")
    lines.set(title="b: blur beside more and more tasks", ylabel="PSNR, dB")
    lines.legend(fontsize="small")
    rows = [(name, task, f"{value:.4f}") for name, curve in curves.items() for task, value in curve.items()]
    note = "Ours are small networks on other photos: compare slopes, not heights."
    return Drawing(figure, ("restorer", "tasks", "psnr"), rows, [note] if material.means else [])


def _reported() -> dict[str, Mapping[str, float]]:
    curves: dict[str, dict[str, float]] = {}
    for row in reported_table("dino_ir_6").rows:
        method = row.restorer.partition(",")[0]
        of_method = curves.setdefault(f"{method}, the paper", {})
        of_method[list(_TASKS.values())[len(of_method)]] = row.scores["psnr"]
    return dict(curves)


def _ours(path: Path) -> dict[str, Mapping[str, float]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        found: dict[str, list[float]] = {}
        for line in lines:
            found.setdefault(line["arm"], []).append(float(line["psnr"]))
    except (OSError, KeyError, ValueError):
        raise DataError(f"{path} is no means.csv of `dino-ir reproduce table6`") from None
    curves = {
        f"{title}, ours": {
            words: fmean(found[f"{arm}_{task}"]) for task, words in _TASKS.items() if f"{arm}_{task}" in found
        }
        for arm, title in _OURS.items()
    }
    if not all(curves.values()):
        raise DataError(
            f"{path} is no means.csv of `dino-ir reproduce table6`: its arms are {', '.join(found)}"
        )
    return dict(curves)
