"""Several sets of weights for one network, mixed anew for each photo.

pieces of a photo ─┬─► gate ─► shares ─► weights: those of each expert, by its share
                   └─► the network with these weights ─► restored
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from types import MappingProxyType
from typing import Any, cast

import torch
from torch import Tensor, nn

from dino_ir.catalog import build
from dino_ir.contracts import Guide, Network, no_guide
from dino_ir.layers.precision import exactly
from dino_ir.pools import Pooled

__all__ = ["Experts"]


class Experts(Network):
    """Networks of one kind, each an expert in some damage; a gate mixes their weights for each photo.

    One small network that learns noise, blur, rain and haze at once is worse at each than one that learns it
    alone. Mixing weights costs the same at any size of a photo, and then the network costs what it costs
    alone. Experts begin as one and the same: weights between those of two that went on from one beginning
    still restore.

    Args:
        expert: table of a part in `networks/`.
        count: how many of it.

    Raises:
        ValueError: fewer than two.

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
        first: Network = build("networks", expert)
        self.experts = nn.ModuleList([first, *(deepcopy(first) for _ in range(count - 1))])
        self.gate = _Gate(count)
        self.places, self.multiple_of, self.tile_side = first.places, first.multiple_of, first.tile_side
        self._shares: Tensor | None = None

    def forward(self, degraded: Tensor, guide: Guide = no_guide) -> Tensor:
        with exactly(degraded.device):
            shares = self.gate(degraded)
            weights = dict(self._mixed(shares))
        self._shares = shares.detach()
        return torch.func.functional_call(self.experts[0], weights, (degraded, guide))

    def blocks(self) -> list[nn.Module]:
        return cast(Network, self.experts[0]).blocks()

    def readings(self) -> dict[str, float]:
        """The share of each expert in the last photo."""
        shares = [] if self._shares is None else self._shares.tolist()
        return {f"share_{index}": share for index, share in enumerate(shares)}

    def _mixed(self, shares: Tensor) -> Iterator[tuple[str, Tensor]]:
        """The weights by name, as one product of matrices: graphs of a product for each weight grow huge."""
        sets = torch.stack([torch.cat([p.flatten() for p in each.parameters()]) for each in self.experts])
        first = dict(self.experts[0].named_parameters())
        parts = (shares @ sets).split([weight.numel() for weight in first.values()])
        for (name, weight), part in zip(first.items(), parts):
            yield name, part.view(weight.shape)


class _Gate(nn.Module):
    """The pieces of one photo, [B, 3, H, W] -> shares [count], which sum to 1.

    Noise and blur show in what neighbouring pixels have to do with each other, so it looks at pixels as they
    are, not at a thumbnail.
    """

    def __init__(self, count: int, channels: int = 16) -> None:
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(3, channels, 5, stride=2, padding=2),
            nn.GELU(),
            nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(2 * channels, 4 * channels, 3, stride=2, padding=1),
            nn.GELU(),
        )
        self.pooled = Pooled()
        self.judge = nn.Sequential(
            nn.Linear(4 * channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, count)
        )
        # All alike at first: the mean of experts restores nearly as well as what they began as.
        last = cast(nn.Linear, self.judge[-1])
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, pieces: Tensor) -> Tensor:
        seen = self.pooled(self.look(pieces).mean(dim=(2, 3)))
        return self.judge(seen.mean(dim=0)).softmax(dim=0)
