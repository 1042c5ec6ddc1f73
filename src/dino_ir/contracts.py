"""The promises every part keeps. Read this file first.

An image is a float tensor, RGB, in [0, 1]: [3, H, W] alone, [B, 3, H, W] in a batch.
Parts with weights extend a class here, and write the methods that raise NotImplementedError; parts
without only match a signature.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import torch
from torch import Tensor, nn

__all__ = [
    "Batch",
    "Dataset",
    "Degradation",
    "FeatureFusion",
    "Guide",
    "Learner",
    "LevelFusion",
    "Metric",
    "Network",
    "Pair",
    "Parameters",
    "Place",
    "Prior",
    "Restorer",
    "Truth",
    "View",
    "no_guide",
]

# --- pictures ---------------------------------------------------------------------------------


class Pair(NamedTuple):
    """One scene, damaged and not. `degraded` is None where a degradation is still to be applied.

    Images are [3, H, W], uint8 (so that thousands fit in memory) or float in [0, 1].
    """

    name: str
    clean: Tensor
    degraded: Tensor | None = None
    depth: Tensor | None = None  # [1, H, W], float, in the unit haze's beta is measured in


class Dataset(Protocol):
    """Named pairs in a fixed order."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Pair: ...


Parameters = dict[str, Any]
"""What one image's damage is made of: numbers, seeds, and the `Parameters` of inner degradations."""


class Degradation(Protocol):
    """Damages clean images; what is random is drawn first, one image at a time."""

    def draw(self, rng: torch.Generator) -> Parameters:
        """Draw one image's damage. The same `rng` state gives the same parameters."""
        ...

    def apply(self, images: Tensor, parameters: Sequence[Parameters], depth: Tensor | None = None) -> Tensor:
        """Damage a batch, image i by `parameters[i]`: the same on any device and in any batch.

        Args:
            images: [B, 3, H, W], clean.
            parameters: B results of `draw`.
            depth: [B, 1, H, W] where the scene's depth is known.

        Returns:
            [B, 3, H, W], a new tensor.
        """
        ...


class Metric(Protocol):
    """Scores each image of a batch: [B, 3, H, W] twice -> [B]."""

    @property
    def higher_is_better(self) -> bool: ...
    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor: ...


# --- priors and fusion ------------------------------------------------------------------------


class Prior(nn.Module):
    """A pretrained network that describes an image: feature maps, shallow to deep.

    It never learns and stays in eval mode. Gradients still flow through it to the image, which a
    perceptual loss needs; use `torch.no_grad()` where they are not wanted. It normalises the image
    itself, and is built with random weights; `files.weights.fill_priors` puts the trained ones in.
    """

    tiny: ClassVar[Mapping[str, Any]] = {}  # options of the smallest useful instance, for tests
    channels: tuple[int, ...]  # of each feature map that `forward` returns
    stride: int  # image pixels per feature pixel; both sides of the image must divide by it
    pretrained: str | None = None  # the weights that belong to it, by name

    def train(self, mode: bool = True) -> Self:
        return super().train(False).requires_grad_(False)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Describe [B, 3, H, W] by maps [B, C, H / stride, W / stride], shallow to deep."""
        raise NotImplementedError

    def blocks(self, image: Tensor, indices: Sequence[int]) -> tuple[Tensor, ...]:
        """The maps after chosen blocks (0 is the first), computed no deeper than the last of them."""
        raise NotImplementedError

    @staticmethod
    def rename_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Map a published file's names onto this prior's `state_dict`.

        A file that has them already stays as it is.
        """
        return dict(state)


class View(NamedTuple):
    """What a restorer knows of the photos around the B pieces it works on, B / P pieces of each."""

    map: Tensor  # [P, C, h, w]: each photo, described once
    box: Tensor  # [B, 4]: top, left, bottom, right in its photo, as fractions; right < left: mirrored


class FeatureFusion(nn.Module):
    """A prior's feature maps, shallow to deep -> one map. Built from `prior_channels`."""

    channels: int  # of the map

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Fuse L maps [B, C_l, h, w] into one, [B, channels, h, w]."""
        raise NotImplementedError

    def readings(self) -> dict[str, float]:
        """Numbers of the last forward pass worth logging, such as a gate's scores."""
        return {}


class LevelFusion(nn.Module):
    """One map steers a network's features at each of its places. Built from `channels, places`."""

    needs_map: ClassVar[bool] = True  # False: the prior need not run to restore

    def forward(self, place: int, features: Tensor, view: View) -> Tensor:
        """Steer [B, C, H, W] at a place; the shape stays."""
        raise NotImplementedError


# --- networks ---------------------------------------------------------------------------------

Guide = Callable[[int, Tensor], Tensor]
"""`guide(place, features)` returns features of the same shape; `place` counts `Network.places`."""


def no_guide(_place: int, features: Tensor) -> Tensor:
    """Leave the features as they are: the network works alone."""
    return features


class Place(NamedTuple):
    """A point inside a network where a guide may steer it."""

    channels: int
    stride: int  # image pixels per feature pixel
    heads: int  # groups that attention across these channels works in


class Network(nn.Module):
    """An image-to-image network that a guide may steer."""

    tiny: ClassVar[Mapping[str, Any]] = {}  # options of the smallest useful instance, for tests
    places: tuple[Place, ...]  # the latent, then after each decoder level, coarse to fine
    multiple_of: int  # both sides of the input must divide by this
    tile_side: int = 512  # of the tiles it is fastest in, on a CPU: docs/speed.md
    takes_one_photo: ClassVar[bool] = False  # True: a batch must be pieces of one photo, with one guide

    def forward(self, degraded: Tensor, guide: Guide = no_guide) -> Tensor:
        raise NotImplementedError

    def each(self, photos: Iterable[tuple[Tensor, Guide]]) -> list[Tensor]:
        """Restore several photos, each the pieces [B, 3, H, W] of one, all of one size, with its own guide.

        As one by one, but for rounding; a network that prepares something for each photo may, where it
        learns, do so for all at once.

        Returns:
            What became of each photo, in their order.
        """
        return [self(pieces, guide) for pieces, guide in photos]

    def begin(self, degraded: Tensor, levels: int) -> tuple[Tensor, ...]:
        """Its first levels alone, from the finest, for those networks that can stop there.

        Returns:
            Features of each level, [B, C, H / 2^level, W / 2^level], and then what goes on to the next.
        """
        raise NotImplementedError

    def beginnings(self, levels: int) -> tuple[str, ...]:
        """How the names of the weights that `begin` needs start; () if it cannot."""
        return ()

    def blocks(self) -> list[nn.Module]:
        """The modules it is made of again and again: what is worth compiling, one by one."""
        return []

    def readings(self) -> dict[str, float]:
        """Numbers of the last forward pass worth logging."""
        return {}


# --- what is trained --------------------------------------------------------------------------


class Batch(NamedTuple):
    """What a learner trains on: B crops out of P photos, photo by photo, B / P of each."""

    degraded: Tensor  # [B, 3, H, W]
    clean: Tensor  # [B, 3, H, W]
    photo: Tensor | None = None  # [P, 3, h, w]: thumbnails of the degraded photos, where asked for
    box: Tensor | None = None  # [B, 4]: where each crop lies in its photo; see `View`


class Learner(nn.Module):
    """Anything the training loop can train."""

    thumbnail: int | None = None  # side of the square `Batch.photo` it wants of each photo, in pixels
    splits_batches: ClassVar[bool] = True  # whether its losses are means over the photos of a batch

    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """The named scalar terms of the training loss, already weighted."""
        raise NotImplementedError

    def after_step(self, step: int, steps: int) -> None:
        """What must follow an optimizer step, such as moving a teacher. `steps` is the run's length."""

    def readings(self) -> dict[str, float]:
        """Numbers of the last step worth logging besides the losses."""
        return {}

    def product(self) -> nn.Module:
        """What the run is for: the module whose weights are published."""
        return self


class Truth(NamedTuple):
    """What only a benchmark knows of an image."""

    clean: Tensor  # [3, H, W]
    damage: Sequence[tuple[Degradation, Parameters]] = ()  # one after the other; () where unknown


class Restorer(Learner):
    """A whole system: it restores images, and can be trained to."""

    multiple_of: int  # both sides of the input must divide by this
    tile_side: int = Network.tile_side  # of the tiles that large photos are cut into
    works_in_tiles: bool = True  # False: it must have the whole photo at once

    def told(self, truth: Truth) -> "Restorer":
        """What restores the one image that the truth is about; itself, if the truth is of no use to it.

        Only classics that are allowed to know more than the photo use it.
        """
        return self

    def forget(self) -> None:
        """Let the next photo be restored the same whatever came before: most remember nothing."""
        return

    @property
    def needs_look(self) -> bool:
        """Whether it would look at photos at all: those that need not, are not read for it."""
        return type(self).look is not Restorer.look

    def look(self, photo: Tensor) -> Tensor | None:
        """Describe whole photos [B, 3, H, W] once, for `View.map`; None if pieces need no context."""
        return None

    def forward(self, degraded: Tensor, view: View | None = None) -> Tensor:
        """Restore [B, 3, H, W]; without a view, the image is the whole photo."""
        raise NotImplementedError
