"""Images as callers hold them, and as restorers want them: tensors, numpy arrays, PIL images."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dino_ir.errors import ImageError

__all__ = ["Opened", "copy_image", "open_image"]

# Noise that is not clipped overshoots [0, 1]; 2 is five times a sigma of 100. 0 to 255 goes beyond.
MOST_OVERSHOOT = 2.0

_PILLOW_BACK = {"CMYK", "YCbCr", "HSV"}  # modes that can hold what was restored as RGB
_PLAIN_PILLOW = {"L", "RGB", "LA", "RGBA", "I;16", "I;16L", "I;16B", "I;16N"}


class Opened(NamedTuple):
    """An image as a batch, and the way back."""

    batch: Tensor  # [B, 3, H, W], float32
    close: Callable[[Tensor], Any]  # such a batch -> the caller's kind, type of number and shape


def open_image(image: Any) -> Opened:
    """Turn a tensor, a numpy array or a PIL image into a batch.

    Grey is repeated; on the way back the three channels are averaged, since all three are estimates
    of the same. Alpha does not pass through the restorer and comes back as it was.

    Args:
        image: a float tensor [3, H, W] or [B, 3, H, W] in [0, 1]; an array [H, W], [H, W, 1] or
            [H, W, 3] of uint8, uint16, or floats in [0, 1]; a PIL image. PIL's palettes come back as RGB
            (or RGBA) and its black-and-white as L, as they could not hold what was restored.

    Raises:
        ImageError: another kind, type, shape or range.
    """
    if isinstance(image, Tensor):
        opened = _open_tensor(image.detach())
    elif isinstance(image, np.ndarray):
        opened = _open_array(cast(NDArray[Any], image))
    elif type(image).__module__.startswith("PIL."):
        opened = _open_pillow(image)
    else:
        raise ImageError(
            f"expected a tensor, a numpy array, a PIL image or a path, got {type(image).__name__}"
        )
    _check_range(opened.batch)
    return opened


def copy_image(image: Any) -> Any:
    """The same image again, sharing no memory with it."""
    return image.detach().clone() if isinstance(image, Tensor) else image.copy()


def _open_tensor(image: Tensor) -> Opened:
    if image.ndim not in (3, 4) or image.shape[-3] != 3:
        raise ImageError(f"expected [3, H, W] or [B, 3, H, W], got {list(image.shape)}")
    _check_size(image.shape)
    if not image.is_floating_point():
        raise ImageError(f"expected floats in [0, 1], got {image.dtype}; divide by its largest value")

    def close(batch: Tensor) -> Tensor:
        return batch.to(image.device, image.dtype).reshape(image.shape)

    return Opened((image if image.ndim == 4 else image[None]).float(), close)


def _open_array(array: NDArray[Any]) -> Opened:
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (1,), (3,)):
        raise ImageError(f"expected [H, W], [H, W, 1] or [H, W, 3], got {list(array.shape)}")
    _check_size(array.shape)
    if array.dtype.kind != "f" and array.dtype.newbyteorder("=").name not in ("uint8", "uint16"):
        raise ImageError(f"expected uint8, uint16, or floats in [0, 1], got {array.dtype}")
    top = 1 if array.dtype.kind == "f" else np.iinfo(array.dtype).max
    values = torch.from_numpy(array.reshape(*array.shape[:2], -1).astype(np.float32)) / top

    def close(batch: Tensor) -> NDArray[Any]:
        restored = batch[0].cpu().movedim(0, 2)
        restored = restored if array.shape[2:] == (3,) else restored.mean(dim=2)
        scaled = restored if top == 1 else (restored * top).round()
        return scaled.numpy().astype(array.dtype).reshape(array.shape)

    return Opened(values.movedim(2, 0).expand(3, -1, -1)[None], close)


def _open_pillow(image: Any) -> Opened:
    import PIL.Image

    if image.mode in ("I", "F"):
        raise ImageError(f"expected a PIL image of 8 or 16 bits, got mode {image.mode!r}; convert it first")
    plain = image if image.mode in _PLAIN_PILLOW else image.convert(_plain_mode(image))
    _check_size(plain.size)
    array: NDArray[Any] = np.asarray(plain)
    has_alpha = plain.mode in ("LA", "RGBA")
    channels = array.shape[2] - has_alpha if array.ndim == 3 else 1
    opened = _open_array(array.reshape(*array.shape[:2], -1)[..., :channels])

    def close(batch: Tensor) -> Any:
        restored = opened.close(batch)
        if has_alpha:
            restored = np.concatenate([restored, array[..., channels:]], axis=2)
        result: Any = PIL.Image.fromarray(restored.reshape(array.shape))
        result = result.convert(image.mode) if image.mode in _PILLOW_BACK else result
        result.info = {key: value for key, value in image.info.items() if key != "transparency"}
        return result

    return Opened(opened.batch, close)


def _plain_mode(image: Any) -> str:
    if image.mode == "1":
        return "L"
    if image.mode in ("PA", "La", "RGBa") or (image.mode == "P" and "transparency" in image.info):
        return "LA" if image.mode == "La" else "RGBA"
    return "RGB"


def _check_size(shape: Sequence[int]) -> None:
    if 0 in shape:
        raise ImageError(f"expected at least one pixel, got an image of shape {list(shape)}")


def _check_range(batch: Tensor) -> None:
    low, high = (float(value) for value in batch.aminmax())
    if not (low >= -MOST_OVERSHOOT and high <= 1 + MOST_OVERSHOOT):  # NaN is refused too
        raise ImageError(
            f"expected values in [0, 1], got {low:g} to {high:g}; scale them into that range first"
        )
