"""Non-local means, the simplest of the classics that compare patches, by scikit-image."""

from types import ModuleType

import torch
from torch import Tensor

from dino_ir.contracts import Restorer, Truth, View
from dino_ir.degradations.gaussian_noise import GaussianNoise
from dino_ir.errors import DinoIRError
from dino_ir.ops.noise import estimate_sigma
from dino_ir.ops.pad import crop_to, pad_to_multiple

__all__ = ["NLMeans"]

_PATCH, _REACH, _STRENGTH = 5, 6, 0.8
"""Side of the patches, how far alike ones are looked for, h / sigma: those of scikit-image's gallery."""

_LEAST = 16
"""Smaller photos are mirrored to this side: patches and the wavelets of the estimate need some pixels."""


class NLMeans(Restorer):
    r"""Denoise each pixel by the mean of the pixels around whose patches look like its own.

    .. math:: \hat{x}_i = \frac{\sum_j w_{ij} y_j}{\sum_j w_{ij}}, \quad
        w_{ij} = \exp(-\max(0, |P_i - P_j|^2 - 2 \sigma^2) / h^2)

    Buades, Coll, Morel, A non-local algorithm for image denoising, CVPR 2005; Darbon et al., Fast nonlocal
    filtering applied to electron cryomicroscopy, ISBI 2008. Needs `pip install 'dino-ir[demo]'`.

    Args:
        sigma: of the noise, on the 0-255 scale. None: as told; where the benchmark adds no Gaussian noise,
            it is estimated by `ops.noise.estimate_sigma`.
        told: False: no benchmark tells it the sigma, so that it is as blind as other restorers.

    Shape:
        [B, 3, H, W] -> [B, 3, H, W], any H and W.

    Raises:
        ValueError: a negative sigma.
        DinoIRError: scikit-image is missing.
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
        return NLMeans(sigmas[-1]) if sigmas and self.sigma is None and self.may_be_told else self

    def forward(self, degraded: Tensor, view: View | None = None) -> Tensor:
        restoration = _package()
        size = (degraded.shape[-2], degraded.shape[-1])
        restored = pad_to_multiple(degraded, _LEAST) if min(size) < _LEAST else degraded.clone()
        for image in restored:
            sigma = estimate_sigma(image) if self.sigma is None else self.sigma / 255
            if sigma > 0:
                pixels = image.cpu().numpy()
                options = {"patch_size": _PATCH, "patch_distance": _REACH, "h": _STRENGTH * sigma}
                means = restoration.denoise_nl_means(pixels, sigma=sigma, channel_axis=0, **options)
                image.copy_(torch.from_numpy(means))
        return crop_to(restored, size)


def _package() -> ModuleType:
    try:
        from skimage import restoration  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise DinoIRError("scikit-image is not installed: pip install 'dino-ir[demo]'") from None
    return restoration
