import subprocess
import sys


def test_says_whether_it_changed_anything():
    """In a process of its own, because the allocator's settings cannot be taken back."""
    code = "from dino_ir.ops.allocator import keep_freed_memory as keep; print(keep())"

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert shown.strip() in ("True", "False")
