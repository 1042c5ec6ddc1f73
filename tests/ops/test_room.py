import pytest
import torch

from dino_ir.ops import room
from dino_ir.ops.room import BytesHeld, free_memory, is_lack_of_memory

REAL = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: "
        "you tried to allocate 4611686018427387904 bytes. Error code 12 (Cannot allocate memory)"
    ),
    RuntimeError("MPS backend out of memory (MPS allocated: 8.84 GB, other allocations: 40.00 MB)."),
]


@pytest.mark.parametrize("problem", REAL, ids=lambda problem: type(problem).__name__)
def test_lack_of_memory_is_known_by_what_torch_says(problem):
    assert is_lack_of_memory(problem)


def test_what_torch_really_says_is_known():
    with pytest.raises(RuntimeError) as problem:
        torch.empty(2**60)

    assert is_lack_of_memory(problem.value)


def test_other_errors_are_no_lack_of_memory():
    assert not is_lack_of_memory(RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"))


def test_what_operations_hold_at_once_is_counted():
    start = torch.zeros(1000)

    with BytesHeld() as held:
        first = start + 1  # 4000 bytes
        second = first.double()  # 8000 more
        del first
        third = second[:10] * 2  # a view takes nothing, its product 80
        assert (held.now, held.peak) == (8080, 12000)
        del second, third

    assert (held.now, held.peak) == (0, 12000)


def test_free_memory_is_no_more_than_a_container_may_take(tmp_path, monkeypatch):
    free = free_memory(torch.device("cpu"))
    for name, text in {"max": "900", "current": "700", "stat": "anon 1\ninactive_file 50"}.items():
        (tmp_path / f"memory.{name}").write_text(text)
    monkeypatch.setattr(room, "_GROUPS", tmp_path)

    assert free is not None
    assert free > 0
    assert free_memory(torch.device("cpu")) == 250


def test_a_container_without_a_limit_has_what_the_machine_has(tmp_path, monkeypatch):
    (tmp_path / "memory.max").write_text("max\n")
    monkeypatch.setattr(room, "_GROUPS", tmp_path)

    assert free_memory(torch.device("cpu")) > 10**6
