"""ICC profiles that are curves and a matrix, or one curve for grey: to the light of sRGB, and back.

Nothing is clipped on the way there, so a colour that sRGB cannot show comes back; and greys become
greys. Profiles that are tables of colours are not read.
"""

import struct
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Profile", "from_light", "read_profile", "to_light"]

_D50_FROM_SRGB = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)  # light of sRGB's primaries to the XYZ that profiles meet in: IEC 61966-2-1, adapted to D50 by Bradford
_GRID = np.linspace(0, 1, 4096) ** 2  # closest where curves are steepest
_PARAMETERS = (1, 3, 4, 5, 7)  # how many a `para` has by its type: g, a, b, c, d, e, f
_DEFAULTS = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]  # of all but g
_SAME = 2 / 255  # what moves less is sRGB, whose profiles are rounded in several ways


class Profile(NamedTuple):
    """What the numbers of a photo mean."""

    curves: Tensor  # [C, N], light of each channel at the grid's numbers; C is 1 for grey, else 3
    inverses: Tensor  # [C, N], each channel's number at the grid's amounts of light
    matrix: Tensor  # [3, 3], from the light of its primaries to that of sRGB's; each row sums to 1


def read_profile(data: bytes, channels: int) -> Profile | None:
    """Read a profile; None if it means sRGB.

    Args:
        data: an ICC profile of version 2 or 4 (ICC.1:2022).
        channels: of the photo, 1 or 3.

    Raises:
        ValueError: it is damaged, a table, or for other colours; the message says which.
    """
    if data[16:20] != (b"GRAY" if channels == 1 else b"RGB "):
        raise ValueError("is for other colours than the photo's")
    try:
        with np.errstate(divide="raise", over="raise", invalid="raise"):
            tags = _tags(data)
            names = [b"kTRC"] if channels == 1 else [b"rTRC", b"gTRC", b"bTRC"]
            if data[20:24] != b"XYZ " or not tags.keys() >= {*names}:
                raise ValueError("is a table of colours")
            curves = np.stack([_curve(tags[name]) for name in names])
            matrix = np.eye(3) if channels == 1 else _matrix(tags)
    except (struct.error, LookupError, ArithmeticError, np.linalg.LinAlgError):
        raise ValueError("is damaged") from None
    inverses = np.stack([np.interp(_GRID, curve, _GRID) for curve in curves])
    profile = Profile(*(torch.from_numpy(each).float() for each in (curves, inverses, matrix)))
    return None if _is_srgb(profile) else profile


def to_light(pixels: Tensor, profile: Profile) -> Tensor:
    """Turn a photo's numbers in [0, 1] into light of sRGB's primaries, which may lie outside [0, 1].

    Shape:
        [C, H, W] -> [3, H, W], where C is the number of the profile's curves
    """
    planes = [_look_up(plane, curve) for plane, curve in zip(pixels, profile.curves)]
    return _mix(torch.stack(planes).expand(3, -1, -1), profile.matrix)


def from_light(light: Tensor, profile: Profile) -> Tensor:
    """Undo `to_light`. What the profile cannot hold is clipped; in a grey one colours become grey.

    Shape:
        [3, H, W] -> [C, H, W], where C is the number of the profile's curves
    """
    planes = _mix(light, torch.linalg.inv(profile.matrix))
    planes = planes if len(profile.curves) == 3 else planes.mean(dim=0, keepdim=True)
    return torch.stack([_look_up(plane, curve) for plane, curve in zip(planes, profile.inverses)])


def _mix(planes: Tensor, matrix: Tensor) -> Tensor:
    return torch.einsum("ij, jhw -> ihw", matrix, planes)


def _look_up(values: Tensor, curve: Tensor) -> Tensor:
    """The curve, which is known on the grid, at values that are clipped to [0, 1]."""
    steps = values.clamp(0, 1).sqrt().mul_(len(curve) - 1)
    before = steps.long().clamp(max=len(curve) - 2)
    return curve[before].lerp(curve[before + 1], steps - before)


def _tags(data: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", data, 128)
    rows = (struct.unpack_from(">4sII", data, 132 + 12 * index) for index in range(min(count, 100)))
    return {name: data[start : start + size] for name, start, size in rows}


def _matrix(tags: Mapping[bytes, bytes]) -> NDArray[np.float64]:
    columns = [struct.unpack_from(">3i", tags[name], 8) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    matrix = np.linalg.solve(_D50_FROM_SRGB, np.array(columns).T / 65536)
    white = matrix.sum(axis=1, keepdims=True)
    if abs(np.linalg.det(matrix)) < 1e-3 or abs(white - 1).max() > 0.1:
        raise ValueError("is damaged")
    return matrix / white  # a profile's numbers are rounded; greys must not be tinted by that


def _curve(tag: bytes) -> NDArray[np.float64]:
    """The light at each number of the grid."""
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        table = np.array(struct.unpack_from(f">{count}H", tag, 12))
        light = _GRID ** (table[0] / 256 if count else 1.0)
        if count > 1:
            light = np.interp(_GRID, np.linspace(0, 1, count), table / 65535)
    else:
        light = _parametric(tag)
    if not np.isfinite(light).all() or (np.diff(light) < 0).any() or light[-1] - light[0] < 0.1:
        raise ValueError("is damaged")
    return light


def _parametric(tag: bytes) -> NDArray[np.float64]:
    """A `para` tag: (a x + b)^g + e from d on, and c x + f below."""
    (kind,) = struct.unpack_from(">H", tag, 8)
    g, *rest = (number / 65536 for number in struct.unpack_from(f">{_PARAMETERS[kind]}i", tag, 12))
    a, b, c, d, e, f = rest + _DEFAULTS[len(rest) :]
    if kind in (1, 2):
        c, d, e, f = 0, -b / a, c, c
    return np.where(d <= _GRID, (a * _GRID + b).clip(min=0) ** g + e, c * _GRID + f)


def _is_srgb(profile: Profile) -> bool:
    steps = torch.linspace(0, 1, 9)
    colours = torch.cartesian_prod(*[steps] * len(profile.curves)).view(-1, len(profile.curves))
    pixels = torch.cat([colours, torch.linspace(0, 1, 256)[:, None].expand(-1, colours.shape[1])])
    light = to_light(pixels.T[:, None], profile)[:, 0]
    bright = 1.055 * light.clamp(min=0.0031308) ** (1 / 2.4) - 0.055  # IEC 61966-2-1
    shown = torch.where(light <= 0.0031308, 12.92 * light, bright)
    return bool((shown - pixels.T).abs().max() < _SAME)
