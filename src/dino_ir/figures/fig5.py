"""Fig. 5 of DINO-IR: shallow features see how hard it rains."""

from collections.abc import Mapping
from types import MappingProxyType

import torch

from dino_ir.contracts import Degradation
from dino_ir.degradations.clear import Clear
from dino_ir.degradations.rain import Rain
from dino_ir.drawing import Drawing, Material, new_figure, show
from dino_ir.errors import DataError
from dino_ir.ops.components import colour_maps
from dino_ir.ops.random import seeded
from dino_ir.ops.resample import resize, size_of_area

__all__ = ["draw"]

_SIDE, _BLOCK = 448, 0
_RAIN: Mapping[str, Degradation] = MappingProxyType(
    {"no": Clear(), "light": Rain("light"), "heavy": Rain("heavy")}
)


def draw(material: Material) -> Drawing:
    """The map after the prior's first block without, with light and with heavy rain.

    The numbers are mean absolute differences to the map of the clean photo, which the DPC loss is made of;
    the paper needs heavy > light > none. arXiv 2312.01677, Fig. 5.

    Raises:
        DataError: no photos or no prior.
    """
    if not material.photos or material.prior is None:
        raise DataError("fig5 needs photos and a prior: give photos, and weights that have a prior")
    prior, count = material.prior, len(material.photos)
    figure, axes = new_figure(2 * count, len(_RAIN), (8, 4.8 * count))
    rows: list[tuple[object, ...]] = []
    distances: dict[str, list[float]] = {}
    for index, (name, photo) in enumerate(material.photos.items()):
        small = resize(photo[None], size_of_area(photo.shape[-2], photo.shape[-1], _SIDE, prior.stride))
        seen = [rain.apply(small, [rain.draw(seeded(0, index))]) for rain in _RAIN.values()]
        with torch.no_grad():
            maps = [prior.blocks(image, (_BLOCK,))[0][0] for image in seen]
        distances[name] = [float((map_ - maps[0]).abs().mean()) for map_ in maps]
        for column, (rain, image, colours) in enumerate(zip(_RAIN, seen, colour_maps(maps))):
            rows.append((name, rain, f"{distances[name][column]:.5f}"))
            show(axes[2 * index, column], image[0], f"{rain} rain")
            show(axes[2 * index + 1, column], colours, f"differs by {distances[name][column]:.4f}")
    ordered = sum(none < light < heavy for none, light, heavy in distances.values())
    note = f"heavy > light > none in {ordered} of {count} photos"
    return Drawing(figure, ("photo", "rain", "mean absolute difference to clean"), rows, [note])
