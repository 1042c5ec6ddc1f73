"""Fig. 3b of DINO-IR: how far features move as noise grows, level by level."""

from functools import partial

from dino_ir.analysis.robustness import LADDERS, describe, measure_deviations
from dino_ir.contracts import Prior
from dino_ir.drawing import COLOURS, Drawing, Material, new_figure
from dino_ir.errors import DataError

__all__ = ["draw"]

_SIDE = 224
_PAPER = (36.85, 10.47, 0.61)  # variances of image, patch embedding, deep features
_TIMES = 3.0  # how many times a variance must be another to be far above it


def draw(material: Material) -> Drawing:
    """PSNR of noisy maps against clean ones at ten sigmas, less the mean over them; and its variance.

    The paper's variances fall from the image to the patch embedding to deep features. That claim is
    checked and the answer is said, whichever it is. arXiv 2312.01677, Fig. 3b.

    Raises:
        DataError: no photos or no prior.
    """
    if not material.photos or material.prior is None:
        raise DataError("fig3b needs photos and a prior: give photos, and weights that have a prior")
    blocks = (_deepest(material.prior),)
    describer = partial(describe, prior=material.prior, blocks=blocks, side=_SIDE)
    found = measure_deviations(describer, list(material.photos.values()), {"noise": LADDERS["noise"]})
    figure, axes = new_figure(1, 2, (11, 4), width_ratios=[3, 1.4])
    bars, variances = axes[0]
    for place, (row, colour) in enumerate(zip(found, COLOURS)):
        levels = range(len(row.psnr))
        shifts = [level + (place - 1) * 0.27 for level in levels]
        heights = [value - row.mean for value in row.psnr.values()]
        label = f"{row.map}: variance {row.variance:.2f}"
        bars.bar(shifts, heights, 0.25, color=colour, label=label, edgecolor="black", linewidth=0.4)
        variances.bar([place - 0.2], [row.variance], 0.38, color=colour, edgecolor="black", linewidth=0.4)
    variances.bar(
        [place + 0.2 for place in range(3)], _PAPER, 0.38, color="white", edgecolor="black", hatch="///"
    )
    variances.bar([0], [0], color="white", edgecolor="black", hatch="///", label="the paper's, with DINOv2")
    bars.set_xticks(range(len(found[0].psnr)), list(found[0].psnr))
    bars.set(xlabel="sigma of the noise, of 255", ylabel="PSNR less its mean over levels, dB")
    variances.set_xticks(range(len(found)), [row.map.replace(" ", "\n") for row in found])
    variances.set(ylabel="variance over levels, dB²")
    bars.axhline(0, color="black", linewidth=0.8)
    bars.legend()
    variances.set_ylim(0, 1.2 * max(*_PAPER, *(row.variance for row in found)))
    variances.legend(fontsize="small")
    rows = [
        [row.map, level, f"{value:.4f}", f"{value - row.mean:.4f}", f"{row.variance:.4f}"]
        for row in found
        for level, value in row.psnr.items()
    ]
    heads = ("map", "sigma", "psnr", "psnr less mean", "variance")
    return Drawing(figure, heads, rows, _verdict([row.variance for row in found]))


def _deepest(prior: Prior) -> int:
    layers = getattr(prior, "layers", None)
    return layers[-1] if layers else len(prior.channels) - 1


def _verdict(variances: list[float]) -> list[str]:
    if len(variances) != len(_PAPER):
        return ["This prior has no patch embedding to compare."]
    image, embedding, deep = variances
    words = f"variance {image:.2f} of the image, {embedding:.2f} of the patch embedding, {deep:.2f} deep"
    holds = image > _TIMES * embedding > _TIMES**2 * deep
    told = "as the paper says" if holds else "not as the paper says (36.85, 10.47, 0.61)"
    return [
        f"{words}: {told}.",
        "A patch embedding is linear, so unclipped noise must give it the image's own variance, 36.5.",
    ]
