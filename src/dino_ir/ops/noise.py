"""How much noise a photo has."""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["estimate_sigma"]


def estimate_sigma(image: Tensor) -> float:
    """Standard deviation of the noise in [3, H, W] of [0, 1]: the mean of the three channels'.

    By the median of the finest diagonal wavelets, those of Daubechies with 4 taps: Donoho and Johnstone,
    Ideal spatial adaptation by wavelet shrinkage, Biometrika 1994.

    Args:
        image: of at least 4 x 4 pixels.
    """
    root = 3**0.5
    taps = torch.tensor([1 - root, root - 3, 3 + root, -1 - root], dtype=torch.double) / 32**0.5
    wavelet = torch.outer(taps, taps)[None, None]
    details = F.conv2d(image.double().cpu()[:, None], wavelet, stride=2).flatten(1)
    middle = torch.special.ndtri(torch.tensor(0.75, dtype=torch.double))  # of |normal noise| of sigma 1
    return float((details.abs().median(dim=1).values / middle).mean())
