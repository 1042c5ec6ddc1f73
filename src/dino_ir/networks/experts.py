"""Several sets of weights for one network, mixed anew for each photo.

pieces of a photo ─┬─► first levels, by the mean of the experts ─► gate ─► shares ─► weights
                   └─► the network with these weights ─► restored
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from types import MappingProxyType
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from dino_ir.catalog import build
from dino_ir.contracts import Guide, Network, no_guide
from dino_ir.layers.precision import exactly
from dino_ir.pools import Pooled, is_measuring_pools, shared_pools, take_shared

__all__ = ["Experts"]

_LEVELS = 2  # from the finest, that the gate looks through


class Experts(Network):
    """Networks of one kind, each an expert in some damage; a gate mixes their weights for each photo.

    One small network that learns noise, blur, rain and haze at once is worse at each than one that learns it
    alone. Mixing weights costs the same at any size of a photo, and the network then costs what it costs
    alone, but for a look at the photo through its first levels, which tell damages apart already. Experts
    begin as one and the same, between which a gate has nothing to choose: give them weights that went on from
    one beginning (`averaging.join_experts`), teach the gate (`learners.expert_choice`), then train all.

    Args:
        expert: table of a part in `networks/` that can `begin`.
        count: how many of it.

    Raises:
        ValueError: fewer than two, or a network that cannot `begin` or would recompute.

    Shape:
        [B, 3, H, W] -> [B, 3, H, W]: the pieces of one photo, which share their weights.

    Source: Yang et al., "CondConv: Conditionally Parameterized Convolutions", NeurIPS 2019, where each layer
    has a gate of its own; one gate for all of a network lets experts be trained apart.
    """

    tiny = MappingProxyType(
        {"expert": {"name": "nafnet", "width": 8, "encoder": (1,), "middle": 1, "decoder": (1,)}, "count": 2}
    )
    takes_one_photo = True

    def __init__(self, expert: Mapping[str, Any], count: int = 4) -> None:
        super().__init__()
        if count < 2:
            raise ValueError(f"count must be at least 2, got {count}")
        if not isinstance(expert, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] recipes say anything
            raise ValueError(f"expert is a table with the name of a network and its options, got {expert!r}")
        first: Network = build("networks", expert)
        if expert.get("recompute"):  # it would be with the weights that the first expert has by itself
            raise ValueError("experts cannot recompute: what they computed with is gone by then")
        self._levels = min(_LEVELS, len(first.places) - 1)
        if self._levels < 1 or not first.beginnings(self._levels):
            raise ValueError(
                f"experts are of a network that can begin alone, such as nafnet, not {expert['name']}"
            )
        self.experts = nn.ModuleList([first, *(deepcopy(first) for _ in range(count - 1))])
        self.places, self.multiple_of, self.tile_side = first.places, first.multiple_of, first.tile_side
        self.gate = _Gate(sum(place.channels for place in first.places[-self._levels :]), count)
        self._shares: Tensor | None = None
        starts = first.beginnings(self._levels)
        self._marks = 1 + sum(
            isinstance(part, Pooled) and name.startswith(starts) for name, part in first.named_modules()
        )
        self._kept: list[tuple[Tensor, dict[str, Tensor]]] = []

    def forward(self, degraded: Tensor, guide: Guide = no_guide) -> Tensor:
        return functional_call(self.experts[0], self._weights(degraded), (degraded, guide))

    def each(self, photos: Iterable[tuple[Tensor, Guide]]) -> list[Tensor]:
        photos = list(photos)
        # Pools are measured, and come, photo by photo; and only learning wants the weights of all at once.
        if (
            len(photos) == 1
            or not torch.is_grad_enabled()
            or is_measuring_pools()
            or shared_pools() is not None
        ):
            return super().each(photos)
        seen = self._see(torch.cat([pieces for pieces, _ in photos]))
        parts = seen.split([len(pieces) for pieces, _ in photos])
        with exactly(seen.device):
            shares = torch.stack([self.gate(part) for part in parts])
            mixed = self._mixed(shares)
        self._shares, self._kept = shares[-1].detach(), []
        return [
            functional_call(self.experts[0], weights, (pieces, guide))
            for weights, (pieces, guide) in zip(mixed, photos)
        ]

    def shares(self, degraded: Tensor) -> Tensor:
        """How much of each expert the pieces of a photo, [B, 3, H, W], are given: [count], of sum 1.

        Through it a loss teaches the gate, but not the levels that it looks through.
        """
        seen = self._see(degraded)
        with exactly(degraded.device):
            return self.gate(seen)

    def blocks(self) -> list[nn.Module]:
        return cast(Network, self.experts[0]).blocks()

    def __getstate__(self) -> dict[str, Any]:
        """What is kept of photos stays here: pickled, each of the weights would write all of them."""
        return {**self.__dict__, "_kept": [], "_shares": None}

    def readings(self) -> dict[str, float]:
        """The share of each expert in the last photo."""
        shares = [] if self._shares is None else self._shares.tolist()
        return {f"share_{index}": share for index, share in enumerate(shares)}

    def _weights(self, degraded: Tensor) -> dict[str, Tensor]:
        """The mixed weights: the very same for all tiles of a photo that share what the gate sees."""
        shared = take_shared(self._marks)
        seen = self._see(degraded) if shared is None else shared[-1]
        for before, weights in self._kept:
            if before is seen:
                return weights
        with exactly(degraded.device):
            shares = self.gate(seen)
            [weights] = self._mixed(shares[None])
        self._shares = shares.detach()
        now = shared_pools() or ()  # of all photos that tiles are restored of; others will not come again
        self._kept = [each for each in self._kept if any(each[0] is value for value in now)]
        if shared is not None:
            self._kept.append((seen, weights))
        return weights

    def _see(self, degraded: Tensor) -> Tensor:
        with torch.no_grad():
            return self.gate.read([maps.float() for maps in self._look(degraded)])

    def _look(self, degraded: Tensor) -> tuple[Tensor, ...]:
        """What the mean of the experts makes of the pieces, in its first levels."""
        first = cast(Network, self.experts[0])
        even = degraded.new_full([1, len(self.experts)], 1 / len(self.experts))
        with exactly(degraded.device):
            [weights] = self._mixed(even, first.beginnings(self._levels))
        weights = {f"network.{name}": weight for name, weight in weights.items()}
        return functional_call(_FirstLevels(first, self._levels), weights, (degraded,))

    def _mixed(self, shares: Tensor, starts: tuple[str, ...] = ("",)) -> list[dict[str, Tensor]]:
        """The weights by name for each row of shares, [P, count].

        One product of matrices: with one for each weight, graphs grow huge; with one for each photo, its
        backward pass goes through all weights of all experts once for each.
        """
        sets = [dict(expert.named_parameters()) for expert in self.experts]
        shapes = {name: weight.shape for name, weight in sets[0].items() if name.startswith(starts)}
        rows = torch.stack([torch.cat([weights[name].flatten() for name in shapes]) for weights in sets])
        lengths = [shape.numel() for shape in shapes.values()]
        return [
            {name: part.view(shape) for (name, shape), part in zip(shapes.items(), mixed.split(lengths))}
            for mixed in (shares @ rows).unbind()
        ]


class _FirstLevels(nn.Module):
    """The first levels of a network, as a module: what weights are lent to must be one."""

    def __init__(self, network: Network, levels: int) -> None:
        super().__init__()
        self.network, self.levels = network, levels

    def forward(self, degraded: Tensor) -> tuple[Tensor, ...]:
        return self.network.begin(degraded, self.levels)[: self.levels]


class _Gate(nn.Module):
    """What it has read of the pieces of one photo, [B, 2 channels] -> shares [count].

    It reads the mean and the size of each channel: what a restorer's first levels look for is what damages
    differ in.
    """

    def __init__(self, channels: int, count: int, width: int = 64) -> None:
        super().__init__()
        self.pooled = Pooled()
        self.judge = nn.Sequential(
            nn.LayerNorm(2 * channels), nn.Linear(2 * channels, width), nn.GELU(), nn.Linear(width, count)
        )
        # All have the same share at first: none is favoured before anything is learned.
        last = cast(nn.Linear, self.judge[-1])
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def read(self, features: Sequence[Tensor]) -> Tensor:
        """The means of all channels of maps [B, C, h, w], and of their squares: [B, 2 channels]."""
        means = [maps.mean(dim=(2, 3)) for maps in features]
        squares = [maps.square().mean(dim=(2, 3)) for maps in features]
        return self.pooled(torch.cat([*means, *squares], dim=1))

    def forward(self, read: Tensor) -> Tensor:
        means, squares = read.mean(dim=0).chunk(2)
        sizes = (squares + 1e-6).sqrt()
        return self.judge(torch.cat([means / sizes, sizes.log()])).softmax(dim=0)
