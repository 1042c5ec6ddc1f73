import numpy as np
import PIL.Image
import pytest
import torch

from dino_ir.errors import ImageError
from dino_ir.ops.kinds import copy_image, open_image

RNG = np.random.default_rng(0)


def array_of(dtype, shape):
    if np.dtype(dtype).kind == "f":
        return RNG.random(shape).astype(dtype)
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(3, 1, 1), (3, 5, 7), (1, 3, 5, 7), (2, 3, 1, 50)])
def test_tensors_come_back(shape, dtype):
    image = torch.rand(shape).to(dtype)

    batch, close = open_image(image)

    assert (batch.dtype, batch.ndim, batch.shape[1]) == (torch.float32, 4, 3)
    assert torch.equal(close(batch), image)
    assert close(batch).dtype == dtype


@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">u2", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(5, 7), (1, 1), (5, 7, 1), (5, 7, 3), (1, 50, 3)])
def test_arrays_come_back(shape, dtype):
    array = array_of(np.float32 if dtype == "float64" else np.dtype(dtype).newbyteorder("="), shape).astype(
        dtype
    )

    batch, close = open_image(array)

    assert batch.shape == (1, 3, *shape[:2])
    assert 0 <= batch.min() <= batch.max() <= 1
    np.testing.assert_allclose(close(batch), array, rtol=1e-6)
    assert (close(batch).dtype, close(batch).shape) == (array.dtype, array.shape)


def test_a_flipped_array_comes_back():
    array = array_of("uint8", (5, 7, 3))[::-1, ::-1]

    batch, close = open_image(array)

    assert np.array_equal(close(batch), array)


def test_grey_is_the_mean_of_three():
    batch, close = open_image(np.zeros((4, 6), np.float32))

    restored = batch + torch.tensor([0.1, 0.2, 0.6])[:, None, None]

    np.testing.assert_allclose(close(restored), 0.3, rtol=1e-6)


@pytest.mark.parametrize("mode", ["L", "RGB", "LA", "RGBA"])
def test_pillow_images_come_back(mode):
    array = array_of("uint8", (5, 7, len(mode))).squeeze()
    image = PIL.Image.fromarray(array)
    image.info["icc_profile"] = b"profile"

    batch, close = open_image(image)
    restored = close(batch)

    assert (restored.mode, restored.size, restored.info) == (mode, image.size, image.info)
    assert np.array_equal(np.asarray(restored), array)


def test_alpha_stays_as_it_was():
    array = array_of("uint8", (5, 7, 4))
    batch, close = open_image(PIL.Image.fromarray(array))

    restored = np.asarray(close(torch.zeros_like(batch)))

    assert np.array_equal(restored[..., 3], array[..., 3])
    assert restored[..., :3].max() == 0


def test_16_bit_pillow_images_come_back():
    array = array_of("uint16", (5, 7))
    image = PIL.Image.fromarray(array)

    batch, close = open_image(image)

    assert close(batch).mode == image.mode == "I;16"
    assert np.array_equal(np.asarray(close(batch)), array)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("CMYK", "CMYK"), ("YCbCr", "YCbCr"), ("HSV", "HSV"), ("P", "RGB"), ("1", "L"), ("PA", "RGBA")],
)
def test_other_pillow_modes_come_back_where_they_can(mode, expected):
    image = (
        PIL.Image.fromarray(array_of("uint8", (5, 7, 3)))
        .convert("RGBA" if mode == "PA" else "RGB")
        .convert(mode)
    )

    batch, close = open_image(image)

    assert (close(batch).mode, close(batch).size) == (expected, image.size)
    through_rgb = image.convert({"1": "L", "PA": "RGBA"}.get(mode, "RGB")).convert(expected)
    assert np.array_equal(np.asarray(close(batch)), np.asarray(through_rgb))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.rand(4, 5, 5), r"expected \[3, H, W\] or \[B, 3, H, W\], got \[4, 5, 5\]"),
        (torch.rand(5, 5), r"got \[5, 5\]"),
        (torch.zeros(3, 5, 5, dtype=torch.uint8), "expected floats"),
        (torch.zeros(3, 0, 5), "at least one pixel"),
        (torch.rand(3, 5, 5) * 255, "expected values in"),
        (torch.full((3, 5, 5), float("nan")), "expected values in"),
        (np.zeros((5, 5, 4), np.uint8), r"expected \[H, W\], \[H, W, 1\] or \[H, W, 3\], got \[5, 5, 4\]"),
        (np.zeros((0, 5, 3), np.uint8), "at least one pixel"),
        (np.zeros((5, 5), np.int32), "expected uint8, uint16"),
        (np.full((5, 5), 200.0), "expected values in"),
        (np.full((5, 5), np.inf), "expected values in"),
        (PIL.Image.new("F", (5, 5)), "mode 'F'"),
        (PIL.Image.new("RGB", (0, 5)), "at least one pixel"),
        ([[1, 2]], "got list"),
        (None, "got NoneType"),
    ],
)
def test_what_is_no_image_is_refused(image, message):
    with pytest.raises(ImageError, match=message):
        open_image(image)


def test_unclipped_noise_is_an_image():
    image = torch.tensor([-0.8, 0.5, 1.8])[:, None, None]

    batch, _ = open_image(image)

    assert torch.equal(batch[0], image)


@pytest.mark.parametrize(
    "image", [torch.rand(3, 4, 4, requires_grad=True), np.ones((4, 4)), PIL.Image.new("L", (4, 4))]
)
def test_copies_share_nothing(image):
    copied = copy_image(image)

    assert type(copied) is type(image)
    assert copied is not image
    assert not np.shares_memory(
        np.asarray(copied), image.detach().numpy() if torch.is_tensor(image) else image
    )
