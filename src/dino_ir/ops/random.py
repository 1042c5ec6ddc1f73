"""Random fields that depend on a seed and a place alone: the same in any batch and on any device.

Each number is a hash of its seed and its position, so nothing is drawn in an order. The mixing is Chris
Wellons' lowbias32 (public domain), whose constants were found by search for the least bias.
"""

import hashlib
import math
import struct
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["draw_seed", "normal", "seeded", "uniform"]


def seeded(*numbers: int) -> torch.Generator:
    """A generator for what several numbers name together, such as a run's seed, a step and a row.

    Torch's generator on a CPU looks at the lowest 32 bits of a seed alone, so the numbers are hashed
    into them; shifted side by side, most would be lost.
    """
    return torch.Generator().manual_seed(int.from_bytes(_digest(numbers)) >> 1)


def draw_seed(rng: torch.Generator) -> int:
    """A seed for `uniform` and `normal`, below 2^62."""
    return int(torch.randint(2**62, (), generator=rng))


def uniform(seeds: Sequence[int], shape: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
    """Independent numbers, uniform in [0, 1), in steps of 2^-24.

    Args:
        seeds: one for each field.
        shape: of a field; fewer than 2^31 numbers.
        device: where the numbers are made.

    Returns:
        [len(seeds), *shape], float32.
    """
    places = torch.arange(math.prod(shape), dtype=torch.int32, device=device)
    # Hashed before they meet the places: seeds 0 and 1 as they are would only swap neighbours.
    keys = [struct.unpack("<ii", _digest(seed)) for seed in seeds]
    fields = [_mix(_mix(places ^ first) + second) for first, second in keys]
    bits = (torch.stack(fields) >> 8) & 0xFFFFFF
    return bits.float().mul_(2.0**-24).reshape(len(seeds), *shape)


def normal(seeds: Sequence[int], shape: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
    """Independent numbers of the standard normal distribution (Box and Muller, 1958).

    Args:
        seeds, shape, device: as in `uniform`.

    Returns:
        [len(seeds), *shape], float32, within 5.9 of 0.
    """
    count = math.prod(shape)
    half = (count + 1) // 2
    radius, angle = uniform(seeds, (2, half), device).unbind(dim=1)
    radius = radius.add_(2.0**-25).log_().mul_(-2).sqrt_()
    angle = angle.mul_(2 * math.pi)
    values = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)
    return values[:, :count].reshape(len(seeds), *shape)


def _digest(named: object) -> bytes:
    """Eight bytes that have nothing in common with those of any other number or numbers."""
    return hashlib.blake2b(repr(named).encode(), digest_size=8).digest()


def _mix(x: Tensor) -> Tensor:
    """A bijection of 32-bit integers in which each bit of the input moves each of the output."""
    # Torch shifts signs in from the left; the masks take them out.
    x = (x ^ ((x >> 16) & 0xFFFF)).mul_(0x7FEB352D)
    x = x.bitwise_xor_((x >> 15) & 0x1FFFF).mul_(_signed(0x846CA68B))
    return x.bitwise_xor_((x >> 16) & 0xFFFF)


def _signed(bits: int) -> int:
    """The lowest 32 bits as a signed integer, which is what int32 tensors compute with."""
    bits &= 0xFFFFFFFF
    return bits - (1 << 32) if bits >= 1 << 31 else bits
