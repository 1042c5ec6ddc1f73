"""What a restorer's gate makes of shallow, medium and deep features, damage by damage."""

from statistics import fmean, pstdev

import torch

from dino_ir.analysis.robustness import DAMAGES
from dino_ir.drawing import COLOURS, Drawing, Material, new_figure
from dino_ir.errors import DataError
from dino_ir.ops.random import seeded
from dino_ir.restorers.dino_ir import DinoIR

__all__ = ["draw"]

_PAPER = (0.30, 0.32, 0.38)


def draw(material: Material) -> Drawing:
    """The gate's scores (equation 2) by damage: the mean over photos, and their deviation as a line.

    Raises:
        DataError: no photos, or no restorer that describes photos whole and has a gate.
    """
    restorer = next((each for each in material.restorers.values() if isinstance(each, DinoIR)), None)
    if not material.photos or restorer is None or restorer.thumbnail is None:
        raise DataError('gate needs photos and weights of a DINO-IR with view = "whole" and a guide')
    photos = list(material.photos.values())
    found = {
        name: [_scores(restorer, photo, index, name) for index, photo in enumerate(photos)]
        for name in DAMAGES
    }
    depths = len(next(iter(found.values()))[0])
    if not depths:
        raise DataError("gate needs weights whose features are fused by pixel_semantic: these have no gate")
    figure, axes = new_figure(1, 1, (9, 4))
    plot = axes[0, 0]
    rows: list[tuple[object, ...]] = []
    for depth in range(depths):
        values = {name: [scores[depth] for scores in each] for name, each in found.items()}
        means, spreads = [fmean(each) for each in values.values()], [pstdev(each) for each in values.values()]
        shifts = [place + (depth - (depths - 1) / 2) * 0.8 / depths for place in range(len(found))]
        plot.bar(shifts, means, 0.75 / depths, yerr=spreads, color=COLOURS[depth], edgecolor="black",
                 linewidth=0.4, capsize=2, label=f"depth {depth}")  # fmt: skip
        rows += [(name, depth, f"{m:.4f}", f"{s:.4f}") for name, m, s in zip(found, means, spreads)]
    if depths == len(_PAPER):
        for depth, score in enumerate(_PAPER):
            plot.axhline(
                score, color=COLOURS[depth], linestyle="--", linewidth=1, label=f"the paper's, {score}"
            )
    plot.set_xticks(range(len(found)), list(found))
    plot.set(ylabel="score", ylim=(0, None))
    figure.legend(fontsize="small", loc="outside right upper")
    return Drawing(figure, ("damage", "depth, 0 is shallow", "mean score", "deviation over photos"), rows)


def _scores(restorer: DinoIR, photo: torch.Tensor, index: int, damage: str) -> list[float]:
    degradation = DAMAGES[damage]
    degraded = degradation.apply(photo[None], [degradation.draw(seeded(0, index))])
    with torch.inference_mode():
        restorer.look(degraded)
    readings = restorer.feature_fusion.readings()
    return [value for name, value in readings.items() if name.startswith("gate_")]
