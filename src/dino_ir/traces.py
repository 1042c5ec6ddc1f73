"""The traces that damage leaves in a photo, as numbers that a small model can weigh.

Noise fills the flattest places, blur empties the finest bands, rain is bright, thin, grey and upright, and
haze lifts what should be dark. Each number is robust (a quantile, or a ratio of energies) and most are
logarithms, so that a change of scale is a step.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from dino_ir.ops.color import luma

__all__ = ["SMALLEST", "cut_pieces", "find_traces", "piece_boxes", "shrink", "shrink_factor"]

SMALLEST = 32
"""Photos of a shorter side tell too little: neither side may be below."""

_PIECE, _ACROSS = 128, 4  # pixels of a piece's side, and how many lie along a side of the photo, at most
_MULTIPLE = 16  # sides of pieces: they are halved four times
_THUMBNAIL = 192  # pixels of the longer side
_LEVELS = 4
_ENOUGH = 20_000  # numbers: more would not make a quantile better
_STEP = 1 / 1020  # a quarter of a level of 8 bits: what a logarithm starts from
_QUANTILES = (0.1, 0.3, 0.5, 0.75, 0.9, 0.98, 0.997)
_SPREAD = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)


def cut_pieces(photo: Tensor) -> Tensor:
    """Cut equal pieces, spread evenly over a photo; a large one is not covered.

    Args:
        photo: [3, H, W], neither side below SMALLEST.

    Returns:
        [N, 3, h, w], up to 16 pieces of up to 128 x 128 pixels, as they are.
    """
    boxes = piece_boxes((photo.shape[-2], photo.shape[-1]))
    return torch.stack([photo[:, top:bottom, left:right] for top, left, bottom, right in boxes])


def piece_boxes(size: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """Top, left, bottom and right of the pieces of a photo of a height and a width."""
    height, width = (min(_PIECE, side // _MULTIPLE * _MULTIPLE) for side in size)
    tops, lefts = _starts(size[0], height), _starts(size[1], width)
    return [(top, left, top + height, left + width) for top in tops for left in lefts]


def shrink(photo: Tensor) -> Tensor:
    """Means over areas: [3, H, W] -> [3, h, w], the longer side 192 pixels, the shorter not below 16."""
    return F.avg_pool2d(photo, shrink_factor((photo.shape[-2], photo.shape[-1])), ceil_mode=True)


def shrink_factor(size: tuple[int, int]) -> int:
    """By how much `shrink` divides a height and a width."""
    short, long = sorted(size)
    return max(1, min(math.ceil(long / _THUMBNAIL), short // _MULTIPLE))


def find_traces(pieces: Tensor, thumbnail: Tensor) -> Tensor:
    """What damage may have left in a photo.

    Args:
        pieces: [N, 3, h, w] in [0, 1], from `cut_pieces`.
        thumbnail: [3, h, w] in [0, 1], from `shrink`.

    Returns:
        [F], float32, finite; F is the same for all photos.
    """
    light = luma(pieces)
    parts = (_of_bands(light), _of_colors(pieces), _of_slopes(light), _of_lines(light), _of_veils(thumbnail))
    return torch.cat(parts)


def _starts(side: int, piece: int) -> list[int]:
    count = min(_ACROSS, math.ceil(side / piece))
    return [round(number * (side - piece) / max(count - 1, 1)) for number in range(count)]


def _of_bands(image: Tensor) -> Tensor:
    """How strong the details of each size and direction are, and how strong they are where it is flattest."""
    found: list[Tensor] = []
    for level in range(_LEVELS):
        image, *bands = _haar(image)
        found += [_log(_quantiles(band.abs(), _QUANTILES)) for band in bands]
        if level < 2:
            energy = F.avg_pool2d(bands[2].square(), 4)
            found.append(_log(_quantiles(energy, (0.01, 0.05, 0.2, 0.5)).sqrt()))
    return torch.cat(found)


def _of_colors(pieces: Tensor) -> Tensor:
    """How alike the finest details of the three colours are: a scene's and a streak's are, noise is not."""
    found: list[Tensor] = []
    image = pieces
    for _level in range(3):
        image, *bands = _haar(image)
        for band in bands[1:]:
            red, green, blue = band.unbind(dim=1)
            found += [_alike(red, green), _alike(blue, green)]
            found.append(_log((red - green).abs().mean()[None]))
            found.append(_log((blue - green).abs().mean()[None]))
    return torch.cat(found)


def _of_slopes(image: Tensor) -> Tensor:
    """Where thin structures run to, and whether they are brighter or darker than what lies beside them."""
    found: list[Tensor] = []
    for _level in range(3):
        across = image[..., 1:-1, 1:-1] * 2 - image[..., 1:-1, :-2] - image[..., 1:-1, 2:]
        along = image[..., 1:-1, 1:-1] * 2 - image[..., :-2, 1:-1] - image[..., 2:, 1:-1]
        found += [_brighter(ridge, (0.9, 0.97, 0.995)) for ridge in (across, along)]
        found.append(_directions(image))
        image = F.avg_pool2d(image, 2)
    return torch.cat(found)


def _of_lines(image: Tensor) -> Tensor:
    """How much long thin lines stand out, upright ones and level ones, and whether they are bright."""
    found: list[Tensor] = []
    for _level in range(2):
        for turned in (image, image.transpose(-2, -1)):
            ridge = 2 * turned[..., 1:-1] - turned[..., :-2] - turned[..., 2:]
            for lean in (-1, 0, 1):
                ends = _quantiles(_along(ridge, lean), (0.02, 0.98))
                found.append(torch.stack([_log(ends[1]), _log(ends[1]) - _log(-ends[0])]))
        image = F.avg_pool2d(image, 2)
    return torch.cat(found)


def _along(ridge: Tensor, lean: int) -> Tensor:
    """Means of five places on a line, one every two rows, that leans by `lean` columns between them."""
    height, width = ridge.shape[-2] - 8, ridge.shape[-1] - 4  # where all lines lie inside
    total = torch.zeros_like(ridge[..., :height, :width])
    for step in range(5):
        left = 2 + lean * (step - 2)
        total += ridge[..., 2 * step : 2 * step + height, left : left + width]
    return total / 5


def _brighter(values: Tensor, shares: tuple[float, ...]) -> Tensor:
    """How much farther the bright end reaches than the dark one, as logarithms, [len(shares)]."""
    ordered = _quantiles(values, (*(1 - share for share in shares), *shares))
    dark, bright = (-ordered[: len(shares)], ordered[len(shares) :])
    return _log(bright) - _log(dark)


def _of_veils(thumbnail: Tensor) -> Tensor:
    """How dark, how colourful and how rich in contrast the photo is, and how bright where it is greyest."""
    least, most = thumbnail.amin(dim=0), thumbnail.amax(dim=0)
    dark = -F.max_pool2d(-least[None], 7, stride=1, padding=3)[0]
    light = luma(thumbnail)
    mean = F.avg_pool2d(light, 8, stride=4, ceil_mode=True)
    variance = F.avg_pool2d(light.square(), 8, stride=4, ceil_mode=True) - mean.square()
    farthest = dark >= dark.flatten().quantile(0.95)
    air = thumbnail[:, farthest].mean(dim=1)
    return torch.cat(
        [
            _quantiles(least, _SPREAD),
            _quantiles(dark, _SPREAD),
            _quantiles(light, _SPREAD),
            _quantiles(1 - least / most.clamp(min=_STEP), _SPREAD),
            _log(_quantiles(variance, _SPREAD).clamp(min=0).sqrt()),
            air,
            (air.amax() - air.amin())[None],
            torch.stack([(most >= 1).float().mean(), (least <= 0).float().mean()]),
        ]
    )


def _haar(image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Half the size, and the details across, along and diagonal; white noise keeps its strength in those."""
    even, odd = image[..., ::2, :], image[..., 1::2, :]
    a, b, c, d = even[..., ::2], even[..., 1::2], odd[..., ::2], odd[..., 1::2]
    return (a + b + c + d) / 4, (a - b + c - d) / 2, (a + b - c - d) / 2, (a - b - c + d) / 2


def _directions(image: Tensor) -> Tensor:
    """The share of the squared slopes that each of eight directions has, as a logarithm, [8]."""
    right = image[..., 1:-1, 2:] - image[..., 1:-1, :-2]
    down = image[..., 2:, 1:-1] - image[..., :-2, 1:-1]
    sector = ((torch.atan2(down, right) / math.pi * 8).round().long() % 8).flatten()
    energy = (right.square() + down.square()).flatten()
    shares = torch.zeros(8).index_add_(0, sector, energy) + _STEP**2
    return (shares / shares.sum()).log()


def _alike(one: Tensor, other: Tensor) -> Tensor:
    """The correlation of two bands of mean 0, [1]."""
    scale = (one.square().mean() * other.square().mean()).sqrt()
    return ((one * other).mean() / (scale + _STEP**2))[None]


def _quantiles(values: Tensor, shares: tuple[float, ...]) -> Tensor:
    every = values.numel() // _ENOUGH | 1  # an odd step, so that it falls into all columns
    ordered = values.flatten()[::every].sort().values
    return ordered[[round(share * (len(ordered) - 1)) for share in shares]]


def _log(values: Tensor) -> Tensor:
    return (values.clamp(min=0) + _STEP).log()
