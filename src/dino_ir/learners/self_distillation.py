"""Teach a small DINO not to see damage: it describes degraded crops as its average describes clean ones."""

import math
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dino_ir.catalog import build
from dino_ir.contracts import Batch, Learner, Prior
from dino_ir.errors import TrainingError
from dino_ir.layers.imagenet import normalise
from dino_ir.layers.projection_head import ProjectionHead
from dino_ir.losses.self_distillation import agreement, balance, spread
from dino_ir.ops.rank import effective_rank
from dino_ir.ops.resample import resize
from dino_ir.priors.dino_tiny import DINOTiny

__all__ = ["SelfDistillation"]

_SMALLEST_VIEW = 160  # of a teacher, in pixels: classifiers taught at 224 know little of smaller pictures
_HIDDEN = (0.1, 0.5)  # share of the patches of a crop that are hidden, from and to
_BLOCK = 2  # patches are hidden in squares of so many


class SelfDistillation(Learner):
    """Self-distillation in the manner of DINO and iBOT, from clean crops to degraded ones.

    A student is trained to give degraded crops the prototypes that the prior, which is the moving
    average of the student, gives the clean crops: the class token those of every crop of the photo,
    each patch token (seen or hidden) those of the same patch. DINO: arXiv 2104.14294, iBOT: 2111.07832;
    balanced targets and the push apart as in DINOv2, 2304.07193.

    Optionally a second, frozen teacher gives what few photos cannot: linear maps of the student's
    tokens predict its features of the clean crop, patch by patch and averaged, standardised by channel.

    Args:
        prior: what is trained; it starts as it is.
        teacher: options of the prior `mobilenet_v2` (or of another, by name), the second teacher.
        damaged_views: False shows the student clean crops too: the control.
        crops: of each photo in a batch, as in the recipe's phases.
        prototypes: of the class token, and as many of the patches.
        momentum: how much of the average a step keeps; it rises to 1 by half a cosine.
        hidden: share of the crops that have patches hidden.
        teacher_weight: of both of the second teacher's losses.

    Raises:
        ValueError: the prior is not `dino_tiny`.
        WeightsError: the second teacher's weights are missing or do not fit.
    """

    splits_batches = False  # targets are balanced over a batch

    def __init__(
        self,
        prior: Prior,
        teacher: Mapping[str, Any] | None = None,
        damaged_views: bool = True,
        crops: int = 2,
        prototypes: int = 512,
        momentum: float = 0.99,
        hidden: float = 0.5,
        teacher_weight: float = 4.0,
    ) -> None:
        super().__init__()
        if not isinstance(prior, DINOTiny):
            raise ValueError("self-distillation trains the prior dino_tiny and no other")
        width = prior.channels[-1]
        self.damaged_views, self.crops, self.momentum = damaged_views, crops, momentum
        self.hidden, self.teacher_weight = hidden, teacher_weight
        self.prior = prior
        self.prior.pretrained = None  # its weights are what this run is to make
        self.student = deepcopy(prior.vit).requires_grad_(True)
        self.heads = nn.ModuleList(ProjectionHead(width, prototypes) for _ in range(2))  # class, patches
        self.average_heads = deepcopy(self.heads).requires_grad_(False)
        self.teacher: Prior | None = None
        if teacher is not None:
            self.teacher = cast(Prior, build("priors", {"name": "mobilenet_v2", **teacher}))
            taught = sum(self.teacher.channels)
            self.predict = nn.ModuleList(nn.Linear(width, taught) for _ in range(2))
            self.standardise = nn.ModuleList(_Standardise(taught) for _ in range(2))
        self._last: tuple[Tensor, Tensor] | None = None

    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """The terms of both teachers.

        Raises:
            TrainingError: the batch is not made of `crops` crops of each photo, as far as it shows.
        """
        self._check_crops(batch)
        views = batch.degraded if self.damaged_views else batch.clean
        grid = (views.shape[-2] // self.prior.stride, views.shape[-1] // self.prior.stride)
        mask = _draw_mask(len(views), grid, self.hidden, step).to(views.device)
        student = self.student.tokens(normalise(views), mask)
        with torch.no_grad():
            average = self.prior.vit.tokens(normalise(batch.clean))
        cosines = [head(tokens).flatten(0, -2) for head, tokens in zip(self.heads, student)]
        shares = self._share(average)
        losses = {
            "class": agreement(cosines[0], shares[0]),
            "patch": agreement(cosines[1], shares[1]),
            "spread": 0.1 * self._spread(student[0]),
        }
        self._last = (average[0].detach(), shares[0])
        return losses | (self._follow(self.teacher, batch.clean, student, grid) if self.teacher else {})

    def after_step(self, step: int, steps: int) -> None:
        """Move the average towards the student."""
        move = (1 - self.momentum) * (1 + math.cos(math.pi * step / steps)) / 2
        average = [*self.prior.vit.parameters(), *self.average_heads.parameters()]
        student = [*self.student.parameters(), *self.heads.parameters()]
        with torch.no_grad():
            for mean, value in zip(average, student):
                mean.lerp_(value, move)

    def readings(self) -> dict[str, float]:
        """Signs of collapse, of the average's class tokens in the last batch.

        `entropy` of the targets (1: every crop is shared out to all prototypes alike), `deviation` of the
        unit vectors' channels (1: they point everywhere, 0: all the same way), effective `rank`.
        """
        if self._last is None:
            return {}
        tokens, shares = self._last[0].float(), self._last[1]
        unit = F.normalize(tokens, dim=-1)
        entropy = torch.special.entr(shares).sum(dim=-1).mean() / math.log(shares.shape[-1])
        deviation = unit.std(dim=0, correction=0).mean() * unit.shape[-1] ** 0.5
        return {
            "entropy": entropy.item(),
            "deviation": deviation.item(),
            "rank": effective_rank(unit).item(),
        }

    def product(self) -> nn.Module:
        return self.prior

    def _check_crops(self, batch: Batch) -> None:
        count, photos = len(batch.clean), None if batch.photo is None else len(batch.photo)
        if count % self.crops or (photos is not None and count != photos * self.crops):
            of_photos = "" if photos is None else f" of {photos} photos"
            raise TrainingError(
                f"a batch of {count} crops{of_photos} is not {self.crops} crops of each photo: "
                "give [learner] and every [[phase]] the same crops"
            )

    @torch.no_grad()
    def _share(self, average: tuple[Tensor, Tensor]) -> list[Tensor]:
        """The balanced prototypes of class tokens, averaged over each photo's crops, and of patches."""
        of_class, of_patches = (
            balance(head(tokens).flatten(0, -2)) for head, tokens in zip(self.average_heads, average)
        )
        photos = of_class.unflatten(0, (-1, self.crops)).mean(dim=1)
        return [photos.repeat_interleave(self.crops, dim=0), of_patches]

    def _spread(self, tokens: Tensor) -> Tensor:
        """The push apart between photos: crops of one photo are never compared."""
        crops = tokens.unflatten(0, (-1, self.crops)).unbind(dim=1)
        return torch.stack([spread(each) for each in crops]).mean()

    def _follow(
        self, teacher: Prior, clean: Tensor, student: tuple[Tensor, Tensor], grid: tuple[int, int]
    ) -> dict[str, Tensor]:
        """How far the student's tokens are from predicting the second teacher's features."""
        size = (max(clean.shape[-2], _SMALLEST_VIEW), max(clean.shape[-1], _SMALLEST_VIEW))
        with torch.no_grad():
            maps = torch.cat([resize(each.float(), grid) for each in teacher(resize(clean, size))], dim=1)
            features = maps.flatten(2).transpose(1, 2)  # [B, N, C]
            wanted = [each(given) for each, given in zip(self.standardise, (features.mean(dim=1), features))]
        predicted = [predict(tokens) for predict, tokens in zip(self.predict, student)]
        of_class, of_patches = (
            1 - F.cosine_similarity(one.float(), other, dim=-1).mean()
            for one, other in zip(predicted, wanted)
        )
        weight = self.teacher_weight / 2
        return {"teacher_class": weight * of_class, "teacher_patch": weight * of_patches}


class _Standardise(nn.Module):
    """Channels to mean 0 and variance 1, by averages over the batches so far."""

    mean: Tensor
    square: Tensor
    batches: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("square", torch.zeros(channels))
        self.register_buffer("batches", torch.zeros(()))

    def forward(self, features: Tensor) -> Tensor:
        rows = features.float().flatten(0, -2)
        self.batches += 1
        move = (1 / self.batches).clamp_min(0.01)
        self.mean.lerp_(rows.mean(dim=0), move)
        self.square.lerp_(rows.square().mean(dim=0), move)
        return (features - self.mean) / (self.square - self.mean.square()).clamp_min(1e-6).sqrt()


def _draw_mask(crops: int, grid: tuple[int, int], hidden: float, step: int) -> Tensor:
    """Which patches of a batch are hidden, [crops, h * w]: the same in the same step of any run."""
    rng = torch.Generator().manual_seed(step)
    coarse = (-(-grid[0] // _BLOCK), -(-grid[1] // _BLOCK))
    noise = torch.rand(crops, *coarse, generator=rng)
    noise = noise.repeat_interleave(_BLOCK, dim=1).repeat_interleave(_BLOCK, dim=2)[:, : grid[0], : grid[1]]
    low, high = _HIDDEN
    share = low + (high - low) * torch.rand(crops, generator=rng)
    chosen = torch.rand(crops, generator=rng) < hidden
    return ((noise < share[:, None, None]) & chosen[:, None, None]).flatten(1)
