"""Non-local means, the simplest of the classics that compare patches, by scikit-image."""

from types import ModuleType

import torch
from torch import Tensor

from dino_ir.denoiser import Denoiser
from dino_ir.errors import DinoIRError

__all__ = ["NLMeans"]

_PATCH, _REACH, _STRENGTH = 5, 6, 0.8
"""Side of the patches, how far alike ones are looked for, h / sigma: those of scikit-image's gallery."""


class NLMeans(Denoiser):
    r"""Denoise each pixel by the mean of the pixels around whose patches look like its own.

    .. math:: \hat{x}_i = \frac{\sum_j w_{ij} y_j}{\sum_j w_{ij}}, \quad
        w_{ij} = \exp(-\max(0, |P_i - P_j|^2 - 2 \sigma^2) / h^2)

    Buades, Coll, Morel, A non-local algorithm for image denoising, CVPR 2005; Darbon et al., Fast nonlocal
    filtering applied to electron cryomicroscopy, ISBI 2008. Needs `pip install 'dino-ir[demo]'`. Options,
    shapes and errors: `denoiser.Denoiser`.
    """

    def denoise(self, image: Tensor, sigma: float) -> Tensor:
        options = {"patch_size": _PATCH, "patch_distance": _REACH, "h": _STRENGTH * sigma, "channel_axis": 0}
        return torch.from_numpy(_package().denoise_nl_means(image.cpu().numpy(), sigma=sigma, **options))


def _package() -> ModuleType:
    try:
        from skimage import restoration  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise DinoIRError("scikit-image is not installed: pip install 'dino-ir[demo]'") from None
    return restoration
