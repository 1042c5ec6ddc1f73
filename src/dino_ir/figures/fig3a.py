"""Fig. 3a of DINO-IR: deep features of one photo, clean and damaged, as colours."""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional as F

from dino_ir.contracts import Degradation, Prior
from dino_ir.degradations.clear import Clear
from dino_ir.degradations.gaussian_blur import GaussianBlur
from dino_ir.degradations.gaussian_noise import GaussianNoise
from dino_ir.degradations.rain import Rain
from dino_ir.drawing import Drawing, Material, new_figure, show
from dino_ir.errors import DataError
from dino_ir.ops.components import colour_maps
from dino_ir.ops.random import seeded
from dino_ir.ops.resample import resize, size_of_area

__all__ = ["draw"]

_SIDE = 448
_DAMAGE: Mapping[str, Degradation] = MappingProxyType(
    {"clean": Clear(), "rain": Rain("heavy"), "noise": GaussianNoise(50), "blur": GaussianBlur(3.0)}
)
_HEADS = ("photo", "damage", "cosine", "cosine about the photo's mean")


def draw(material: Material) -> Drawing:
    """The last map of the prior by its principal components, joint over all versions of a photo.

    The numbers are mean cosines of the maps' vectors to those of the clean photo, also about their mean:
    vectors that hardly differ from place to place are alike whatever is damaged. arXiv 2312.01677, Fig. 3a.

    Raises:
        DataError: no photos or no prior.
    """
    if not material.photos or material.prior is None:
        raise DataError("fig3a needs photos and a prior: give photos, and weights that have a prior")
    figure, axes = new_figure(2 * len(material.photos), len(_DAMAGE), (10, 4.6 * len(material.photos)))
    rows: list[tuple[object, ...]] = []
    for index, (name, photo) in enumerate(material.photos.items()):
        seen = [_see(photo, damage, material.prior, index) for damage in _DAMAGE.values()]
        maps = [_describe(material.prior, image) for image in seen]
        for column, (damage, image, map_, colours) in enumerate(zip(_DAMAGE, seen, maps, colour_maps(maps))):
            numbers = _cosines(map_, maps[0])
            rows.append((name, damage, *(f"{number:.4f}" for number in numbers)))
            show(axes[2 * index, column], image, damage)
            show(
                axes[2 * index + 1, column],
                colours,
                f"cosine {numbers[0]:.2f}, about the mean {numbers[1]:.2f}",
            )
    return Drawing(figure, _HEADS, rows, ["Colours of one photo share a basis and a range."])


def _see(photo: Tensor, damage: Degradation, prior: Prior, index: int) -> Tensor:
    """The photo at the prior's size, damaged there: as strongly as the network's crops are."""
    image = resize(photo[None], size_of_area(photo.shape[-2], photo.shape[-1], _SIDE, prior.stride))
    return damage.apply(image, [damage.draw(seeded(0, index))])[0]


def _describe(prior: Prior, image: Tensor) -> Tensor:
    with torch.no_grad():
        return prior(image[None])[-1][0]


def _cosines(map_: Tensor, clean: Tensor) -> tuple[float, float]:
    mean = clean.mean(dim=(1, 2), keepdim=True)
    plain = F.cosine_similarity(map_, clean, dim=0).mean()
    return float(plain), float(F.cosine_similarity(map_ - mean, clean - mean, dim=0).mean())
