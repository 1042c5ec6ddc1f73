"""Fig. 6 and 7 of DINO-IR: what several restorers make of the same haze and the same rain."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from torch import Tensor

from dino_ir.contracts import Degradation, Truth
from dino_ir.degradations.haze import Haze
from dino_ir.degradations.rain import Rain
from dino_ir.drawing import Drawing, Material, Sample, new_figure, show
from dino_ir.errors import DataError
from dino_ir.inference import restore
from dino_ir.metrics.psnr import PSNR
from dino_ir.ops.color import round_to_8_bits
from dino_ir.ops.random import seeded

__all__ = ["draw"]

_CROP = 192
_DAMAGE: Mapping[str, Degradation] = MappingProxyType(
    {"haze": Haze(beta=1.5, air=0.9), "rain": Rain("heavy")}
)


def draw(material: Material) -> Drawing:
    """The middle of each photo: degraded, by every restorer, clean; the PSNR is the whole photo's.

    arXiv 2312.01677, Fig. 6 and 7, which show SOTS and DID: samples of benchmarks, where photos are damaged
    here by haze and by rain.

    Raises:
        DataError: no photos or no restorers.
    """
    samples = [*material.samples, *_damaged(material.photos)]
    if not samples or not material.restorers:
        raise DataError("crops needs photos and at least one restorer")
    columns = len(material.restorers) + 2
    figure, axes = new_figure(len(samples), columns, (2.1 * columns, 2.3 * len(samples)))
    rows: list[tuple[object, ...]] = []
    for line, (name, damage, degraded, truth) in zip(axes, samples):
        restored = {
            title: round_to_8_bits(restore(restorer.told(truth), degraded).cpu())
            for title, restorer in material.restorers.items()
        }
        for plot, (title, picture) in zip(line, {damage: degraded, **restored}.items()):
            score = float(PSNR()(picture[None], truth.clean[None]))
            rows.append((name, damage, "degraded" if title == damage else title, f"{score:.3f}"))
            show(plot, _middle(picture), f"{title}, {score:.2f} dB")
        show(line[-1], _middle(truth.clean), "clean")
    return Drawing(figure, ("photo", "damage", "restorer", "psnr"), rows)


def _damaged(photos: Mapping[str, Tensor]) -> Iterator[Sample]:
    for index, (name, clean) in enumerate(photos.items()):
        for damage, degradation in _DAMAGE.items():
            parameters = degradation.draw(seeded(0, index))
            degraded = degradation.apply(clean[None], [parameters])[0]
            yield Sample(name, damage, degraded, Truth(clean, [(degradation, parameters)]))


def _middle(picture: Tensor) -> Tensor:
    top, left = (max(0, (side - _CROP) // 2) for side in picture.shape[-2:])
    return picture[:, top : top + _CROP, left : left + _CROP]
