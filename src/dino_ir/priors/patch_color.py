"""A prior with no weights, for tests and as the null ablation: the mean colours of patches."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from dino_ir.contracts import Prior

__all__ = ["PatchColor"]


class PatchColor(Prior):
    """Maps of 3 channels: the mean colours of patches, smoother with every block.

    Block 0 is the means themselves; each further block averages the one before over 3 x 3 patches.

    Args:
        stride: side of a patch in pixels.
        layers: the blocks that `forward` returns, shallow to deep.
    """

    def __init__(self, stride: int = 16, layers: Sequence[int] = (0, 1, 2)) -> None:
        super().__init__()
        self.layers = tuple(layers)
        self.channels = (3,) * len(self.layers)
        self.stride = stride
        self.train(False)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.blocks(image, self.layers)

    def blocks(self, image: Tensor, indices: Sequence[int]) -> tuple[Tensor, ...]:
        maps = [F.avg_pool2d(image, self.stride)]
        for _ in range(max(indices)):
            maps.append(F.avg_pool2d(maps[-1], 3, stride=1, padding=1, count_include_pad=False))
        return tuple(maps[index] for index in indices)
