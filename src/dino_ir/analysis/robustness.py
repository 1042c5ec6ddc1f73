"""How little a prior's maps change when a photo is damaged, and whether it still tells photos apart.

A map that never changes is easy to have: it need only say nothing. So the two are measured side by side.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, pvariance
from types import MappingProxyType
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional as F

from dino_ir.contracts import Degradation, Prior
from dino_ir.degradations.clear import Clear
from dino_ir.degradations.gaussian_blur import GaussianBlur
from dino_ir.degradations.gaussian_noise import GaussianNoise
from dino_ir.degradations.haze import Haze
from dino_ir.degradations.rain import Rain
from dino_ir.ops.random import seeded
from dino_ir.ops.ranges import between
from dino_ir.ops.rank import effective_rank
from dino_ir.ops.resample import resize, size_of_area

__all__ = [
    "DAMAGES",
    "LADDERS",
    "Recognition",
    "Robustness",
    "describe",
    "deviations_as_markdown",
    "measure_deviations",
    "measure_recognition",
    "pool",
    "recognition_as_markdown",
    "thumbnail",
]

_MOST = 120.0  # dB that float32 can tell from no change at all
_LEAST = 1e-12  # range and deviation of a flat map, which has neither
_BLUR_SIZE = 31  # pixels, which hold three deviations of the strongest blur

LADDERS: Mapping[str, Mapping[str, Degradation]] = MappingProxyType(
    {
        "noise": {str(s): GaussianNoise(s, clipped=False, rounded=False) for s in range(10, 101, 10)},
        "blur": {str(s / 2): GaussianBlur(s / 2, _BLUR_SIZE, rounded=False) for s in range(1, 11)},
        "rain": {strength: Rain(strength, rounded=False) for strength in ("light", "medium", "heavy")},
        "haze": {f"{s / 4:.2f}": Haze(beta=s / 4, rounded=False) for s in range(1, 11)},
    }
)
"""Damage in rising levels: sigma on the 0-255 scale, sigma in pixels, strength, beta."""

DAMAGES: Mapping[str, Degradation] = MappingProxyType(
    {
        "none": Clear(),
        "noise 25": GaussianNoise(25),
        "noise 50": GaussianNoise(50),
        "blur": GaussianBlur(),
        "heavy rain": Rain("heavy"),
        "haze": Haze(),
    }
)
"""Damage that a photo must be recognised through, as files hold it: rounded to 8 bits."""

Describe = Callable[[Tensor], Mapping[str, Tensor]]
"""Maps [1, C, h, w] of an image [1, 3, H, W], by name."""


class Robustness(NamedTuple):
    """How near a map stays to that of the clean photo, at each level of one damage."""

    damage: str
    map: str
    psnr: Mapping[str, float]  # dB by level, the mean over photos
    crest: float  # dB, the same: the clean map's range over its deviation from its channels' means

    @property
    def mean(self) -> float:
        """The mean over levels, in dB."""
        return fmean(self.psnr.values())

    @property
    def signal(self) -> float:
        """The mean with the deviation for a peak, in dB: fair to maps whose range a few numbers set."""
        return self.mean - self.crest

    @property
    def variance(self) -> float:
        """The population variance over levels, in dB²: near 0 where the level makes no difference."""
        return pvariance(self.psnr.values())


class Recognition(NamedTuple):
    """How well photos are told apart by one vector each."""

    by: str
    rank: float  # effective, of the clean photos' vectors
    recall: Mapping[str, float]  # by damage: share of the damaged crops whose nearest is of their photo


@runtime_checkable
class _Embeds(Protocol):
    def embed(self, image: Tensor) -> Tensor: ...


def describe(image: Tensor, prior: Prior, blocks: Sequence[int], side: int) -> dict[str, Tensor]:
    """What a prior sees, the embedding of its patches where it has one, and its maps after chosen blocks.

    Args:
        image: [1, 3, H, W]; it is brought to about `side` x `side` pixels first, as restorers do.
        prior: the describer.
        blocks: indices, 0 is the first.
        side: in pixels.
    """
    seen = resize(image, size_of_area(image.shape[-2], image.shape[-1], side, prior.stride))
    maps = {"image": seen}
    if isinstance(prior, _Embeds):
        maps["patch embedding"] = prior.embed(seen)
    return maps | {f"block {index}": map_ for index, map_ in zip(blocks, prior.blocks(seen, blocks))}


def pool(image: Tensor, prior: Prior, block: int, side: int) -> Tensor:
    """One vector [C] for an image [1, 3, H, W]: the mean of the map after one block."""
    seen = resize(image, size_of_area(image.shape[-2], image.shape[-1], side, prior.stride))
    return prior.blocks(seen, (block,))[0].mean(dim=(0, 2, 3))


def thumbnail(image: Tensor) -> Tensor:
    """One vector [192] for an image [1, 3, H, W] without any prior: 8 x 8 pixels, less their mean colour."""
    small = resize(image, (8, 8))
    return (small - small.mean(dim=(2, 3), keepdim=True)).flatten()


@torch.no_grad()
def measure_deviations(
    describer: Describe,
    photos: Sequence[Tensor],
    ladders: Mapping[str, Mapping[str, Degradation]] = LADDERS,
) -> list[Robustness]:
    """The PSNR of every map of damaged photos against that of the clean ones, by damage and level.

    The peak is the clean map's range, max - min; it shifts all levels alike, and so leaves their
    variance as it is. All levels of a ladder share their noise, streaks and depth. A PSNR above 120 dB
    counts as 120. DINO-IR (arXiv 2312.01677), figure 3b.

    Args:
        describer: see `Describe`.
        photos: clean, [3, H, W].
        ladders: degradations by damage and level.
    """
    scores: dict[tuple[str, str], list[list[float]]] = {}
    crests: dict[str, list[float]] = {}
    for index, photo in enumerate(photos):
        clean = describer(photo[None])
        for name, map_ in clean.items():
            crests.setdefault(name, []).append(_crest(map_))
        for damage, levels in ladders.items():
            degraded = [describer(_damage(photo, level, index)) for level in levels.values()]
            for name, map_ in clean.items():
                scores.setdefault((damage, name), []).append([_psnr(maps[name], map_) for maps in degraded])
    means = {key: map(fmean, zip(*of_photos)) for key, of_photos in scores.items()}
    return [
        Robustness(damage, name, dict(zip(ladders[damage], levels)), fmean(crests[name]))
        for (damage, name), levels in means.items()
    ]


@torch.no_grad()
def measure_recognition(
    vectors: Mapping[str, Callable[[Tensor], Tensor]],
    photos: Sequence[Tensor],
    damages: Mapping[str, Degradation] = DAMAGES,
    shares: tuple[float, float] = (0.5, 0.9),
    crops: int = 4,
) -> list[Recognition]:
    """Find the clean crop of a photo by a damaged and different crop of it, among those of all photos.

    The nearest is the one with the largest cosine about the mean of the clean ones.

    Args:
        vectors: functions from an image [1, 3, H, W] to a vector [C], by name.
        photos: clean, [3, H, W].
        damages: degradations by name; photos are damaged whole, and cut afterwards.
        shares: of a photo's sides that a crop keeps, from and to.
        crops: damaged ones of each photo; the clean one is the same for all of them.
    """
    clean = [_cut(photo[None], shares, index, 0) for index, photo in enumerate(photos)]
    galleries = {name: torch.stack([vector(each) for each in clean]) for name, vector in vectors.items()}
    recall: dict[str, dict[str, float]] = {name: {} for name in vectors}
    for damage, degradation in damages.items():
        found: dict[str, list[bool]] = {name: [] for name in vectors}
        for index, photo in enumerate(photos):
            degraded = _damage(photo, degradation, index)
            for turn in range(1, crops + 1):
                crop = _cut(degraded, shares, index, turn)
                for name, vector in vectors.items():
                    found[name].append(_nearest(vector(crop), galleries[name]) == index)
        for name, hits in found.items():
            recall[name][damage] = fmean(hits)
    return [Recognition(name, float(effective_rank(galleries[name])), recall[name]) for name in vectors]


def deviations_as_markdown(rows: Sequence[Robustness]) -> str:
    """A table for each damage: variance, mean and signal by map, and how far levels are from the mean."""
    tables: list[str] = []
    for damage in dict.fromkeys(row.damage for row in rows):
        chosen = [row for row in rows if row.damage == damage]
        heads = [f"PSNR under {damage}", "variance", "mean", "signal", *chosen[0].psnr]
        lines = [
            [row.map, f"{row.variance:.2f}", f"{row.mean:.2f}", f"{row.signal:.2f}"]
            + [f"{value - row.mean:+.2f}" for value in row.psnr.values()]
            for row in chosen
        ]
        tables.append(_table(heads, lines))
    return "\n\n".join(tables)


def recognition_as_markdown(rows: Sequence[Recognition]) -> str:
    """A table of what photos are recognised by: effective rank, and recall by damage in percent."""
    heads = ["recognised by", "effective rank", *rows[0].recall]
    lines = [
        [row.by, f"{row.rank:.1f}", *(f"{100 * share:.1f} %" for share in row.recall.values())]
        for row in rows
    ]
    return _table(heads, lines)


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    ruled = [heads, ["---", *["---:"] * (len(heads) - 1)], *lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in ruled)


def _damage(photo: Tensor, degradation: Degradation, index: int) -> Tensor:
    """[1, 3, H, W]; the same draws for the same photo, whatever the level."""
    return degradation.apply(photo[None], [degradation.draw(seeded(0, index))])


def _psnr(degraded: Tensor, clean: Tensor) -> float:
    error = (degraded.double() - clean.double()).square().mean()
    return float((-10 * (error / _range(clean).square()).log10()).clamp(max=_MOST))


def _range(clean: Tensor) -> Tensor:
    return (clean.max() - clean.min()).double().clamp(min=_LEAST)


def _crest(clean: Tensor) -> float:
    deviation = clean.double().var(dim=(2, 3), correction=0).mean().sqrt().clamp(min=_LEAST)
    return float(20 * (_range(clean) / deviation).log10())


def _cut(image: Tensor, shares: tuple[float, float], index: int, turn: int) -> Tensor:
    """A crop of [1, 3, H, W] that depends on the photo's index and the turn alone."""
    rng = seeded(1, index, turn)
    share = between(shares, rng)
    height, width = (max(1, round(share * side)) for side in image.shape[-2:])
    top = round(between((0, image.shape[-2] - height), rng))
    left = round(between((0, image.shape[-1] - width), rng))
    return image[..., top : top + height, left : left + width]


def _nearest(vector: Tensor, gallery: Tensor) -> int:
    mean = gallery.mean(dim=0)
    return int(F.cosine_similarity((vector - mean)[None], gallery - mean).argmax())
