"""BM3D, the classic of denoising, by its authors' package."""

from types import ModuleType

import torch
from torch import Tensor

from dino_ir.denoiser import Denoiser
from dino_ir.errors import DinoIRError

__all__ = ["BM3D"]

_OPPONENTS = ((1.0, 1.0, 1.0), (1.0, 0.0, -1.0), (1.0, -2.0, 1.0))
"""The directions of colour that the package works in, each up to a factor."""


class BM3D(Denoiser):
    """Denoise colour photos by filtering groups of patches that look alike.

    Dabov, Foi, Katkovnik, Egiazarian, IEEE Transactions on Image Processing 2007, in the version of Mäkinen,
    Azzari, Foi, ibid. 2020. The package is `pip install 'dino-ir[classics]'`: its licence allows
    non-commercial use only, so nothing else needs it. Options, shapes and errors: `denoiser.Denoiser`.
    """

    def denoise(self, image: Tensor, sigma: float) -> Tensor:
        bm3d = _package()
        low, high = (image.new_tensor(_OPPONENTS) @ image.flatten(1)).aminmax(dim=1)
        # The package divides by the reach of each opponent colour, which is nothing in a grey photo.
        filtered = bm3d.bm3d_rgb if (high - low).min() > 1e-6 else bm3d.bm3d
        pixels = image.movedim(0, 2).double().cpu().numpy()
        return torch.from_numpy(filtered(pixels, sigma)).movedim(2, 0)


def _package() -> ModuleType:
    try:
        import bm3d  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise DinoIRError("bm3d is not installed: pip install 'dino-ir[classics]'") from None
    return bm3d
