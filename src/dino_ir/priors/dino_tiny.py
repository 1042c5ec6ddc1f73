"""Our own small DINO: a vision transformer taught by self-distillation, under 1 GMAC for 224 x 224."""

from collections.abc import Sequence
from types import MappingProxyType

from torch import Tensor

from dino_ir.contracts import Prior
from dino_ir.layers.imagenet import normalise
from dino_ir.layers.vit import VisionTransformer

__all__ = ["DINOTiny"]


class DINOTiny(Prior):
    """A vision transformer of width 192 with 8 blocks and patches of 16 pixels.

    Without registers: their cure is for artefacts that only much larger models show (Darcet et al., ICLR
    2024, arXiv 2309.16588). Images are normalised by ImageNet's mean and deviation, as DINOv2 does.

    Args:
        layers: the blocks that `forward` returns, shallow to deep; 0 is the first.
        width: channels of every map.
        depth: number of blocks.
        heads: attention heads; `width` divides by it.
        patch: side of a patch in pixels.
        grid: side of the learned position map in patches; other grids are interpolated.
        registers: extra tokens that hold no patch.
        trained: False leaves the random weights it is built with: a control.

    Raises:
        ValueError: a layer that does not exist, or `width` does not divide by `heads`.
    """

    tiny = MappingProxyType({"layers": (0, 1, 2), "width": 16, "depth": 3, "heads": 2, "patch": 8, "grid": 4})

    def __init__(
        self,
        layers: Sequence[int] = (1, 4, 7),
        width: int = 192,
        depth: int = 8,
        heads: int = 3,
        patch: int = 16,
        grid: int = 14,
        registers: int = 0,
        trained: bool = True,
    ) -> None:
        super().__init__()
        if not layers or min(layers) < 0 or max(layers) >= depth:
            raise ValueError(f"layers must be from 0 to {depth - 1}, got {list(layers)}")
        self.layers = tuple(layers)
        self.channels = (width,) * len(self.layers)
        self.stride = patch
        self.pretrained = "dino_tiny" if trained else None
        self.vit = VisionTransformer(width, depth, heads, patch, grid, registers)
        self.train(False)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.blocks(image, self.layers)

    def blocks(self, image: Tensor, indices: Sequence[int]) -> tuple[Tensor, ...]:
        return self.vit(normalise(image), indices)

    def embed(self, image: Tensor) -> Tensor:
        """The embedding of each patch alone, which no block has seen: [B, C, H / stride, W / stride]."""
        return self.vit.embed(normalise(image))
