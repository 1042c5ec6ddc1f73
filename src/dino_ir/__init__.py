"""Restore damaged photographs. Start with `load` and `restore`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dino_ir.inference import load, restore

__all__ = ["load", "restore"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import on first use, so that `import dino_ir` and `dino-ir --help` do not wait for torch."""
    if name not in __all__:
        raise AttributeError(f"module 'dino_ir' has no attribute {name!r}")
    from dino_ir import inference

    return getattr(inference, name)
