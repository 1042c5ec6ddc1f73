"""Fig. 6 and 7 of DINO-IR: what several restorers make of the same haze and the same rain."""

from collections.abc import Mapping
from types import MappingProxyType

from torch import Tensor

from dino_ir.contracts import Degradation, Truth
from dino_ir.degradations.haze import Haze
from dino_ir.degradations.rain import Rain
from dino_ir.drawing import Drawing, Material, new_figure, show
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

    arXiv 2312.01677, Fig. 6 and 7, which show SOTS and DID.

    Raises:
        DataError: no photos or no restorers.
    """
    if not material.photos or not material.restorers:
        raise DataError("crops needs photos and at least one restorer")
    count = len(material.photos) * len(_DAMAGE)
    columns = len(material.restorers) + 2
    figure, axes = new_figure(count, columns, (2.1 * columns, 2.3 * count))
    rows: list[tuple[object, ...]] = []
    for index, (name, clean) in enumerate(material.photos.items()):
        for turn, (damage, degradation) in enumerate(_DAMAGE.items()):
            parameters = degradation.draw(seeded(0, index))
            degraded = degradation.apply(clean[None], [parameters])[0]
            truth = Truth(clean, [(degradation, parameters)])
            restored = {
                title: round_to_8_bits(restore(restorer.told(truth), degraded).cpu())
                for title, restorer in material.restorers.items()
            }
            line = axes[index * len(_DAMAGE) + turn]
            for plot, (title, picture) in zip(line, {damage: degraded, **restored}.items()):
                score = float(PSNR()(picture[None], clean[None]))
                rows.append((name, damage, "degraded" if title == damage else title, f"{score:.3f}"))
                show(plot, _middle(picture), f"{title}, {score:.2f} dB")
            show(line[-1], _middle(clean), "clean")
    return Drawing(figure, ("photo", "damage", "restorer", "psnr"), rows)


def _middle(picture: Tensor) -> Tensor:
    top, left = (max(0, (side - _CROP) // 2) for side in picture.shape[-2:])
    return picture[:, top : top + _CROP, left : left + _CROP]
