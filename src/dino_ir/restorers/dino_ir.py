"""DINO-IR: a network steered by a frozen prior that hardly sees the damage (arXiv 2312.01677v3).

photo ──► prior ──► feature fusion ──► map ──┐ level fusion, at every place of the network
degraded ─────────────► network ◄────────────┘ ──► restored
"""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from dino_ir.catalog import build
from dino_ir.contracts import (
    Batch,
    FeatureFusion,
    Guide,
    LevelFusion,
    Network,
    Prior,
    Restorer,
    View,
    no_guide,
)
from dino_ir.losses.contrast import PriorContrast
from dino_ir.losses.pixel import pixel_loss
from dino_ir.ops.resample import resize, size_of_area
from dino_ir.pools import split_photos

__all__ = ["DinoIR"]

PIXEL_SEMANTIC = MappingProxyType({"name": "pixel_semantic"})
ADAPT_AND_FUSE = MappingProxyType({"name": "adapt_and_fuse"})


class DinoIR(Restorer):
    """The whole system: prior, PSF, D-R adaption and fusion, network, and the DPC loss.

    Args:
        network: what restores.
        prior: what describes the degraded photo.
        feature_fusion: table of a part in `fusion/`, built here because it must know the prior.
        level_fusion: likewise; it must know both sides.
        view: what the prior sees. "whole": a thumbnail of the whole photo, described once, so the cost
            is the same at any size and every tile shares one context. "grid": the piece at hand, scaled
            so that the prior's maps have the size of the network's coarsest features.
        side: for "whole", the thumbnail has about side x side pixels.
        longest: for "grid", larger pieces are scaled so that the prior sees no side of more pixels.
        pixel: the loss beside the contrast, "l1" or "psnr".
        knee: where L1 bends, see `losses.pixel.l1`; None for the plain one.
        contrast: options of `losses.contrast.PriorContrast`; None trains on pixels alone.
        mismatched: in training, each photo is steered by the map of the next one of its batch: a control
            that has all of the system but what the prior says of the photo.

    Raises:
        ValueError: an unknown view, a side that the prior cannot see, an unknown loss, or contrast options
            that do not fit.
    """

    def __init__(
        self,
        network: Network,
        prior: Prior,
        feature_fusion: Mapping[str, Any] = PIXEL_SEMANTIC,
        level_fusion: Mapping[str, Any] = ADAPT_AND_FUSE,
        view: str = "whole",
        side: int = 224,
        longest: int = 1036,
        pixel: str = "l1",
        knee: float | None = None,
        contrast: Mapping[str, Any] | None = None,
        mismatched: bool = False,
    ) -> None:
        super().__init__()
        if view not in ("whole", "grid"):
            raise ValueError(f'view must be "whole" or "grid", got {view!r}')
        if view == "whole" and side % prior.stride:
            raise ValueError(f"side must divide by the prior's {prior.stride}, got {side}")
        self.network = network
        self.prior = prior.train(False)
        for name, table in (("feature_fusion", feature_fusion), ("level_fusion", level_fusion)):
            if not isinstance(table, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] recipes say anything
                raise ValueError(f"{name} is a table with the name of a part and its options, got {table!r}")
        self.feature_fusion: FeatureFusion = build(
            "fusion", {**feature_fusion, "prior_channels": prior.channels}
        )
        ends = {"channels": self.feature_fusion.channels, "places": network.places}
        self.level_fusion: LevelFusion = build("fusion", {**level_fusion, **ends})
        if not self.level_fusion.needs_map:
            self.feature_fusion.requires_grad_(False)  # nothing reads it, so nothing could teach it
        self.multiple_of, self.tile_side = network.multiple_of, network.tile_side
        self.view, self.side, self.longest = view, side, longest
        self.pixel = pixel_loss(pixel, knee)
        self.thumbnail = side if view == "whole" and self.level_fusion.needs_map else None
        self.contrast = None if contrast is None else _contrast(contrast)
        self.mismatched = mismatched
        self._ratios: Tensor | None = None

    def look(self, photo: Tensor) -> Tensor | None:
        if self.thumbnail is None:
            return None
        height, width = size_of_area(photo.shape[-2], photo.shape[-1], self.side, self.prior.stride)
        return self._describe(photo, (height, width))

    def forward(self, degraded: Tensor, view: View | None = None) -> Tensor:
        view = (view or self._own_view(degraded)) if self.level_fusion.needs_map else None
        if not self.network.takes_one_photo:
            return self.network(degraded, self._guide(view))
        photos = split_photos(degraded, view)
        return torch.cat(self.network.each((pieces, self._guide(part)) for pieces, part in photos))

    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        restored = self(batch.degraded, self._batch_view(batch))
        terms = {"pixel": self.pixel(restored, batch.clean)}
        if self.contrast and self.contrast.is_due(step):
            ratios = self.contrast.ratios(self.prior, restored, batch.clean, batch.degraded)
            self._ratios = ratios.detach()
            terms["contrast"] = self.contrast.combine(ratios)
        return terms

    def readings(self) -> dict[str, float]:
        """The gate's scores, and how near the contrast's ratios are to 0 (clean) or above 1 (degraded)."""
        readings = self.feature_fusion.readings() | self.network.readings()
        if self._ratios is not None:
            levels = self._ratios.new_tensor([0.1, 0.5, 0.9])
            low, middle, high = self._ratios.flatten().quantile(levels).tolist()
            readings |= {"ratio_p10": low, "ratio_p50": middle, "ratio_p90": high}
        return readings

    def _guide(self, view: View | None) -> Guide:
        return partial(self._steer, view=view) if view else no_guide

    def _steer(self, place: int, features: Tensor, view: View) -> Tensor:
        return self.level_fusion(place, features, view)

    def _describe(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        with torch.no_grad():  # the prior is not taught through its guidance
            features = self.prior(resize(image, size))
        return self.feature_fusion(features)

    def _own_view(self, degraded: Tensor) -> View:
        """Describe the image at hand as a photo of its own."""
        described = self.look(degraded)
        if described is None:
            described = self._describe(degraded, self._grid_size(degraded.shape[-2], degraded.shape[-1]))
        return View(described, _whole_box(degraded))

    def _grid_size(self, height: int, width: int) -> tuple[int, int]:
        """What the prior sees of a piece: a patch for each of the network's coarsest features, or fewer."""
        patch, coarsest = self.prior.stride, max(place.stride for place in self.network.places)
        shrink = min(1.0, self.longest * coarsest / (max(height, width) * patch))
        rows, columns = (max(1, int(side * shrink) // coarsest) * patch for side in (height, width))
        return rows, columns

    def _batch_view(self, batch: Batch) -> View | None:
        if self.thumbnail is None or batch.photo is None or batch.box is None:
            return None
        described = self._describe(batch.photo, (self.thumbnail, self.thumbnail))
        return View(described.roll(1, 0) if self.mismatched else described, batch.box)


def _whole_box(image: Tensor) -> Tensor:
    return torch.tensor([0.0, 0.0, 1.0, 1.0], device=image.device).expand(len(image), 4)


def _contrast(options: Mapping[str, Any]) -> PriorContrast:
    try:
        return PriorContrast(**options)
    except TypeError as problem:
        raise ValueError(f"contrast: {problem}") from None
