import subprocess
import sys

import pytest

from dino_ir.ops.allocator import keep_freed_memory


def test_says_whether_it_changed_anything():
    """In a process of its own, because the allocator's settings cannot be taken back."""
    code = "from dino_ir.ops.allocator import keep_freed_memory as keep; print(keep())"

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert shown.strip() in ("True", "False")


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_changes_nothing_on_other_systems(platform, monkeypatch):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr("ctypes.CDLL", lambda name: pytest.fail(f"{name} was loaded"))

    assert keep_freed_memory() is False


def test_changes_nothing_where_the_c_library_is_another(monkeypatch):
    class Musl:
        pass

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("ctypes.CDLL", lambda name: Musl())

    assert keep_freed_memory() is False
