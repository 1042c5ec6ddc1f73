import mmap

import pytest
import torch

from dino_ir.ops.peak import forget_peak, peak_memory

CPU = torch.device("cpu")


def test_what_is_held_for_a_moment_counts():
    forget_peak(CPU)
    before = peak_memory(CPU)
    if before is None:
        pytest.skip("this system does not say what a process holds")

    with mmap.mmap(-1, 2**28) as held:  # 256 MiB from the system, not from what an allocator has kept
        for page in range(0, 2**28, mmap.PAGESIZE):
            held[page] = 1

    after = peak_memory(CPU)
    assert after is not None
    assert after - before > 200 * 2**20
