"""MobileNetV2, a classifier of ImageNet, as a describer: a second teacher, or a prior to compare with."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from pickle import UnpicklingError
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dino_ir.contracts import Prior
from dino_ir.errors import WeightsError

__all__ = ["MobileNetV2"]

# Channels after each of the 17 blocks (Table 2 of the paper), and the blocks that halve the sides.
_CHANNELS = (16, 24, 24, *[32] * 3, *[64] * 4, *[96] * 3, *[160] * 3, 320)
_HALVING = (1, 3, 6, 13)
_EXPANSION = 6


class MobileNetV2(Prior):
    """The blocks of MobileNetV2 1.0, with batch norms folded into the convolutions.

    Maps of the deepest four blocks, which are half as large, are brought to the stride of the others.
    Sandler et al., CVPR 2018 (arXiv 1801.04381); padding and range of the image as Keras has them.

    Args:
        weights: a `torch.save` file of tensors `layer00.weight`, `layer00.bias`, ... in the order of the
            convolutions, [out, in / groups, k, k]; others in it are ignored. None leaves random weights.
        layers: the blocks that `forward` returns, from 6 to 16, shallow to deep.

    Raises:
        WeightsError: the file is missing or does not hold these tensors.
        ValueError: a layer that does not exist or has another stride.
    """

    tiny = MappingProxyType({"layers": (6, 9, 13)})

    def __init__(self, weights: str | None = None, layers: Sequence[int] = (12, 16)) -> None:
        super().__init__()
        if not layers or min(layers) < _HALVING[2] or max(layers) >= len(_CHANNELS):
            raise ValueError(f"layers must be from {_HALVING[2]} to {len(_CHANNELS) - 1}, got {list(layers)}")
        self.layers = tuple(layers)
        self.channels = tuple(_CHANNELS[layer] for layer in self.layers)
        self.stride = 16
        self.stem = _Convolution(3, 32, 3, halve=True)
        self.body = nn.ModuleList(
            _Block(before, after, halve=index in _HALVING, expansion=_EXPANSION if index else 1)
            for index, (before, after) in enumerate(pairwise((32, *_CHANNELS)))
        )
        if weights is not None:
            self._read(Path(weights))
        self.train(False)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.blocks(image, self.layers)

    def blocks(self, image: Tensor, indices: Sequence[int]) -> tuple[Tensor, ...]:
        size = (image.shape[-2] // self.stride, image.shape[-1] // self.stride)
        x = self.stem(2 * image - 1)
        maps: dict[int, Tensor] = {}
        for index, block in enumerate(self.body[: max(indices) + 1]):
            x = block(x)
            if index in indices:
                same = x.shape[-2:] == size
                maps[index] = x if same else F.interpolate(x, size, mode="bilinear")
        return tuple(maps[index] for index in indices)

    def _read(self, path: Path) -> None:
        convolutions = [part for part in self.modules() if isinstance(part, _Convolution)]
        try:
            given = torch.load(path, map_location="cpu", weights_only=True)
            for index, convolution in enumerate(convolutions):
                names = ("weight", "bias")
                convolution.load_state_dict({name: given[f"layer{index:02d}.{name}"] for name in names})
        except OSError as problem:
            raise WeightsError(
                f"{path}, the weights of MobileNetV2, cannot be read: {problem.strerror}"
            ) from None
        except (UnpicklingError, KeyError, RuntimeError, TypeError) as problem:
            raise WeightsError(f"{path} does not hold the weights of MobileNetV2: {problem}") from None


class _Block(nn.Module):
    """An inverted residual: widen, filter each channel, narrow; added back where the shape stays."""

    def __init__(self, before: int, after: int, halve: bool, expansion: int) -> None:
        super().__init__()
        inner = before * expansion
        self.expand = _Convolution(before, inner, 1) if expansion > 1 else nn.Identity()
        self.filter = _Convolution(inner, inner, 3, halve=halve, groups=inner)
        self.narrow = _Convolution(inner, after, 1, rectified=False)
        self.is_residual = before == after and not halve

    def forward(self, x: Tensor) -> Tensor:
        y = self.narrow(self.filter(self.expand(x)))
        return x + y if self.is_residual else y


class _Convolution(nn.Conv2d):
    """A convolution with ReLU6; one that halves pads as TensorFlow does, nothing before an even side."""

    def __init__(
        self,
        before: int,
        after: int,
        kernel: int,
        halve: bool = False,
        groups: int = 1,
        rectified: bool = True,
    ) -> None:
        super().__init__(before, after, kernel, 2 if halve else 1, 0 if halve else kernel // 2, groups=groups)
        self.is_halving, self.is_rectified = halve, rectified

    def forward(self, input: Tensor) -> Tensor:
        if self.is_halving:
            height, width = input.shape[-2:]
            input = F.pad(input, (width % 2, 1, height % 2, 1))
        x = super().forward(input)
        return F.relu6(x) if self.is_rectified else x
