"""BM3D, the classic of denoising, by its authors' package."""

from types import ModuleType

import torch
from torch import Tensor

from dino_ir.contracts import Restorer, Truth, View
from dino_ir.degradations.gaussian_noise import GaussianNoise
from dino_ir.errors import DinoIRError
from dino_ir.ops.noise import estimate_sigma
from dino_ir.ops.pad import crop_to, pad_to_multiple

__all__ = ["BM3D"]

_LEAST = 16
"""The package ends the whole process on photos of less than two of its blocks: these are mirrored to more."""

_OPPONENTS = ((1.0, 1.0, 1.0), (1.0, 0.0, -1.0), (1.0, -2.0, 1.0))
"""The directions of colour that the package works in, each up to a factor."""


class BM3D(Restorer):
    """Denoise colour photos by filtering groups of patches that look alike.

    Dabov, Foi, Katkovnik, Egiazarian, IEEE Transactions on Image Processing 2007, in the version of Mäkinen,
    Azzari, Foi, ibid. 2020. The package is `pip install 'dino-ir[classics]'`: its licence allows
    non-commercial use only, so nothing else needs it.

    Args:
        sigma: of the noise, on the 0-255 scale. None: as told; where the benchmark adds no Gaussian noise,
            it is estimated by `ops.noise.estimate_sigma`.
        told: False: no benchmark tells it the sigma, so that it is as blind as other restorers.

    Shape:
        [B, 3, H, W] -> [B, 3, H, W], any H and W.

    Raises:
        ValueError: a negative sigma.
        DinoIRError: the package is missing.
    """

    multiple_of = 1
    works_in_tiles = False

    def __init__(self, sigma: float | None = None, told: bool = True) -> None:
        super().__init__()
        if sigma is not None and not sigma >= 0:
            raise ValueError(f"sigma is a number from 0, got {sigma}")
        self.sigma, self.may_be_told = sigma, told

    def told(self, truth: Truth) -> Restorer:
        sigmas = [each["sigma"] for part, each in truth.damage if isinstance(part, GaussianNoise)]
        return BM3D(sigmas[-1]) if sigmas and self.sigma is None and self.may_be_told else self

    def forward(self, degraded: Tensor, view: View | None = None) -> Tensor:
        bm3d = _package()
        size = (degraded.shape[-2], degraded.shape[-1])
        restored = pad_to_multiple(degraded, _LEAST) if min(size) < _LEAST else degraded.clone()
        for image in restored:
            sigma = estimate_sigma(image) if self.sigma is None else self.sigma / 255
            if sigma > 0:
                image.copy_(_denoise(bm3d, image, sigma))
        return crop_to(restored, size)


def _package() -> ModuleType:
    try:
        import bm3d  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise DinoIRError("bm3d is not installed: pip install 'dino-ir[classics]'") from None
    return bm3d


def _denoise(bm3d: ModuleType, image: Tensor, sigma: float) -> Tensor:
    """[3, H, W] -> the same; `sigma` is that of values in [0, 1]."""
    low, high = (image.new_tensor(_OPPONENTS) @ image.flatten(1)).aminmax(dim=1)
    # The package divides by the reach of each opponent colour, which is nothing in a grey photo.
    filtered = bm3d.bm3d_rgb if (high - low).min() > 1e-6 else bm3d.bm3d
    pixels = image.movedim(0, 2).double().cpu().numpy()
    return torch.from_numpy(filtered(pixels, sigma)).movedim(2, 0)
