"""Where half precision is not enough."""

from contextlib import AbstractContextManager, nullcontext

import torch

__all__ = ["exactly"]


def exactly(device: torch.device) -> AbstractContextManager[object]:
    """No autocast within, for what reads and writes images.

    Near white, neighbouring numbers of bfloat16 are 1/256 apart: what little contrast haze leaves is rounded
    away. So the first and the last convolution, which take hardly any of the time, are in full precision.
    """
    kind = device.type
    is_on = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.autocast(kind, enabled=False) if is_on else nullcontext()
