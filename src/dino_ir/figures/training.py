"""Curves of training runs, out of their logs."""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from dino_ir.drawing import COLOURS, CURVE_MARKERS, Drawing, Material, new_figure
from dino_ir.errors import DataError

__all__ = ["draw"]

_POINTS = 60  # of a curve: means of so many stretches
_UNITS = {
    "pixel": "loss: pixel",
    "contrast": "loss: contrast",
    "gradient": "norm of the gradient",
    "seconds": "seconds of a step",
    "lr": "learning rate",
}


def draw(material: Material) -> Drawing:
    """A plot for every number that the logs hold, a curve for every run: means over stretches of steps.

    Raises:
        DataError: no runs, or a folder without a log.
    """
    if not material.runs:
        raise DataError("training needs the folder of a run, or several: give --run DIR")
    logs = {name: _read(folder / "log.jsonl") for name, folder in material.runs.items()}
    keys = list(
        dict.fromkeys(key for lines in logs.values() for line in lines for key in line if key != "step")
    )
    height = -(-len(keys) // 2)
    figure, axes = new_figure(height, 2, (11, 2.6 * height))
    rows: list[tuple[object, ...]] = []
    for plot, key in zip(axes.flat, keys):
        for number, (name, lines) in enumerate(logs.items()):
            curve = _curve(lines, key)
            rows += [(name, key, f"{step:g}", f"{value:.6g}") for step, value in curve]
            style = {
                "color": COLOURS[number % len(COLOURS)],
                "marker": CURVE_MARKERS[number % len(CURVE_MARKERS)],
            }
            plot.plot(
                *zip(*curve) if curve else ((), ()),
                label=name,
                markersize=3,
                markevery=6,
                linewidth=1.2,
                **style,
            )
        plot.set(title=_UNITS.get(key, key), xlabel="step")
        if key in ("pixel", "gradient", "lr") and all(
            line.get(key, 1) > 0 for log in logs.values() for line in log
        ):
            plot.set_yscale("log")
    for plot in axes.flat[len(keys) :]:
        plot.set_axis_off()
    axes[0, 0].legend(fontsize="small")
    return Drawing(figure, ("run", "what", "step", "value"), rows)


def _read(path: Path) -> list[dict[str, float]]:
    try:
        text = path.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]
    except OSError as problem:
        raise DataError(f"{path} cannot be read: {problem.strerror}; a run's folder has one") from None
    except ValueError:
        raise DataError(f"{path} is no log of a run: it has a line that is not JSON") from None


def _curve(lines: Sequence[dict[str, float]], key: str) -> list[tuple[float, float]]:
    points = [(line["step"], line[key]) for line in lines if key in line]
    size = max(1, len(points) // _POINTS)
    stretches = [points[start : start + size] for start in range(0, len(points), size)]
    return [(fmean(step for step, _ in each), fmean(value for _, value in each)) for each in stretches]
