import json
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from dino_ir import tiling
from dino_ir.catalog import build
from dino_ir.contracts import Restorer
from dino_ir.errors import DinoIRError, ImageError, WeightsError
from dino_ir.files.images import Photo, write_photo
from dino_ir.files.weights import write_weights
from dino_ir.inference import find_device, load, restore
from dino_ir.networks.nafnet import NAFNet
from dino_ir.restorers.identity import Identity

SIZES = [(1, 1), (1, 50), (50, 1), (7, 9), (37, 31)]


class Halve(Restorer):
    """Darkens; what it sees must have sides that divide by 8."""

    multiple_of = 8

    def forward(self, degraded, view=None):
        assert degraded.shape[-2] % 8 == degraded.shape[-1] % 8 == 0
        return degraded / 2


class Blur(Restorer):
    """A mean over 5 x 5 pixels: what lies more than 2 pixels away does not matter."""

    multiple_of = 4

    def forward(self, degraded, view=None):
        return F.avg_pool2d(F.pad(degraded, (2, 2, 2, 2), mode="replicate"), 5, stride=1)


class Whereabouts(Restorer):
    """Paints each pixel by its place in the photo, as far as the view tells it; counts its looks."""

    multiple_of = 4

    def __init__(self):
        super().__init__()
        self.looks = []

    def look(self, photo):
        self.looks.append(photo.shape)
        return photo.mean(dim=(2, 3), keepdim=True)

    def forward(self, degraded, view=None):
        top, left, bottom, right = (edge[:, None, None] for edge in view.box.unbind(dim=1))
        rows = (torch.arange(degraded.shape[2])[:, None] + 0.5) / degraded.shape[2]
        columns = (torch.arange(degraded.shape[3]) + 0.5) / degraded.shape[3]
        y = (top + (bottom - top) * rows).expand(degraded[:, 0].shape)
        x = (left + (right - left) * columns).expand(degraded[:, 0].shape)
        return torch.stack([y, x, view.map[:, 0].expand(y.shape)], dim=1)


class Broken(Restorer):
    multiple_of = 1

    def forward(self, degraded, view=None):
        return degraded / 0 * 0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tile", ["auto", "off", 1, 16])
def test_any_size_is_restored_in_any_tiling(size, tile):
    image = torch.rand(2, 3, *size)

    restored = restore(Halve(), image, tile=tile)

    torch.testing.assert_close(restored, image / 2, atol=1e-6, rtol=0)


@pytest.mark.parametrize("tile", [24, 40, 64])
def test_tiles_equal_the_whole_where_they_see_enough(tile, monkeypatch):
    monkeypatch.setattr(tiling, "OVERLAP", 12)
    image = torch.rand(1, 3, 61, 90)

    whole, tiled = (restore(Blur(), image, tile=each) for each in ("off", tile))

    difference = (whole - tiled).abs()
    assert difference.max() < 0.05  # the ends of a tile lack their neighbours, and hardly count
    assert difference.mean() < 2e-3


@pytest.mark.parametrize("tile", ["off", 8, 20])
def test_each_tile_knows_where_it_lies(tile):
    restorer = Whereabouts()
    image = torch.rand(2, 3, 29, 41)

    restored = restore(restorer, image, tile=tile)

    rows, columns = (torch.arange(29) + 0.5) / 29, (torch.arange(41) + 0.5) / 41
    torch.testing.assert_close(restored[:, 0], rows[:, None].expand(2, 29, 41), atol=1e-5, rtol=0)
    torch.testing.assert_close(restored[:, 1], columns.expand(2, 29, 41), atol=1e-5, rtol=0)
    torch.testing.assert_close(restored[:, 2, 0, 0], image[:, 0].mean(dim=(1, 2)), atol=1e-5, rtol=0)
    assert restorer.looks == [image.shape]


def test_large_images_are_tiled_and_many_are_taken_in_turn(monkeypatch):
    monkeypatch.setattr(tiling, "WHOLE_SIDE", 16)
    restorer = Whereabouts()
    restorer.tile_side = 16

    large = restore(restorer, torch.rand(2, 3, 33, 50))
    small = restore(restorer, torch.rand(5, 3, 8, 16))

    assert (large.shape, small.shape) == ((2, 3, 33, 50), (5, 3, 8, 16))
    assert [len(shape) and shape[0] for shape in restorer.looks] == [1, 1, 2, 2, 1]


@pytest.mark.parametrize(
    "image",
    [
        torch.rand(3, 9, 7, dtype=torch.float64),
        torch.rand(2, 3, 9, 7).half(),
        np.arange(63, dtype=np.uint8).reshape(9, 7),
        np.arange(63, dtype=np.uint16).reshape(9, 7, 1) * 1000,
        np.linspace(0, 1, 189).reshape(9, 7, 3),
        PIL.Image.new("RGBA", (7, 9), (10, 20, 30, 40)),
    ],
    ids=lambda image: f"{type(image).__name__} {getattr(image, 'dtype', '')}",
)
def test_what_comes_back_is_what_came(image):
    restored = restore(Identity(), image)

    assert type(restored) is type(image) or isinstance(restored, PIL.Image.Image)
    np.testing.assert_allclose(np.asarray(restored), np.asarray(image), atol=1e-7)
    assert np.asarray(restored).dtype == np.asarray(image).dtype


@pytest.mark.parametrize("bits", [8, 16, 32])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_path_gives_an_array(tmp_path, bits, channels):
    top = {8: 255, 16: 65535, 32: 1}[bits]
    values = torch.rand(channels, 4, 6) if bits == 32 else torch.randint(0, top, (channels, 4, 6)) / top
    write_photo(tmp_path / "a.tif", Photo(values, bits))

    restored = restore(Identity(), str(tmp_path / "a.tif"))

    assert restored.dtype == {8: np.uint8, 16: np.uint16, 32: np.float32}[bits]
    expected = (values * top).expand(3, -1, -1).movedim(0, 2)
    np.testing.assert_allclose(restored, expected.numpy(), atol=1e-3 if bits < 32 else 0)


@pytest.mark.parametrize("bits", [10, 12])
def test_deep_files_give_arrays_of_16_bits(tmp_path, bits):
    write_photo(tmp_path / "a.avif", Photo(torch.ones(3, 4, 6), bits))

    restored = restore(Identity(), tmp_path / "a.avif")

    assert (restored.dtype, restored.min()) == (np.uint16, 65535)


@pytest.mark.parametrize(
    "image", [torch.rand(3, 5, 7, dtype=torch.float64), np.random.default_rng(0).random((5, 7))]
)
def test_no_strength_gives_the_very_image(image):
    restored = restore(Halve(), image, strength=0)

    assert restored is not image
    assert (restored == image).all()


@pytest.mark.parametrize("strength", [0.25, 0.5, 0.9])
def test_strength_blends_light_not_numbers(strength):
    image = torch.rand(3, 5, 7) * 0.9 + 0.1

    restored = restore(Halve(), image, strength=strength)

    light, light_of_half = (((each + 0.055) / 1.055) ** 2.4 for each in (image, image / 2))  # IEC 61966-2-1
    blended = (1 - strength) * light + strength * light_of_half
    torch.testing.assert_close(restored, 1.055 * blended ** (1 / 2.4) - 0.055)


def test_results_are_clipped():
    image = torch.tensor([-0.5, 0.5, 1.5])[:, None, None].expand(3, 4, 4)

    restored = restore(Identity(), image)

    assert restored[:, 0, 0].tolist() == [0, 0.5, 1]


def test_the_result_can_be_learned_from():
    restored = restore(Halve(), torch.rand(3, 8, 8))

    weight = torch.ones(1, requires_grad=True)
    (weight * restored).sum().backward()

    assert weight.grad is not None


def test_the_input_stays_as_it_is():
    image = torch.rand(3, 9, 9)
    before = image.clone()

    restore(Halve(), image, tile=8).zero_()

    assert torch.equal(image, before)


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (torch.rand(1, 9, 9), {}, "expected"),
        (torch.rand(3, 9, 9), {"strength": 1.5}, "expected a strength from 0 to 1, got 1.5"),
        (torch.rand(3, 9, 9), {"strength": float("nan")}, "strength"),
        (torch.rand(3, 9, 9), {"tile": "large"}, "expected a tile of"),
        (torch.rand(3, 9, 9), {"tile": 0}, "expected a tile of"),
        (torch.rand(3, 9, 9), {"tile": True}, "expected a tile of"),
        (torch.rand(3, 9, 9), {"tile": 16.0}, "expected a tile of"),
        ("missing.png", {}, "missing.png does not exist"),
    ],
)
def test_what_cannot_be_restored_is_refused(image, options, message):
    with pytest.raises(ImageError, match=message):
        restore(Identity(), image, **options)


def test_a_tile_may_be_an_integer_of_numpy():
    image = torch.rand(3, 20, 30)

    assert torch.equal(restore(Blur(), image, tile=np.int64(16)), restore(Blur(), image, tile=16))


def test_values_that_are_not_numbers_are_not_given_out():
    with pytest.raises(ImageError, match="not numbers"):
        restore(Broken(), torch.rand(3, 4, 4))


@pytest.mark.parametrize("name", ["cuda:99", "cuda:99999999999999", "warp", "meta", "cpu:0", "cuda:-1", ""])
def test_a_missing_device_is_named(name):
    with pytest.raises(DinoIRError, match=f"no device {name!r}"):
        find_device(name)


def test_a_device_is_always_found():
    assert find_device("auto").type in ("cuda", "mps", "cpu")


def tiny_table():
    return {"restorer": {"name": "plain", "network": {"name": "nafnet", **NAFNet.tiny}}}


def test_loading_gives_what_was_written(tmp_path):
    restorer = build("restorers", tiny_table()["restorer"]).eval()
    with torch.no_grad():
        for weight in restorer.parameters():
            weight.copy_(torch.randn_like(weight).half())  # files hold half precision
    write_weights(tmp_path / "a.safetensors", restorer, tiny_table())

    loaded = load(tmp_path / "a.safetensors", device="cpu")

    image = torch.rand(3, 19, 23)
    assert not loaded.training
    assert torch.equal(restore(loaded, image), restore(restorer, image))


@pytest.mark.parametrize(
    ("table", "state", "message"),
    [
        ({"prior": {}}, {}, "holds no restorer"),
        ({"restorer": {"name": "identity"}}, {"weight": torch.ones(1)}, "1 names differ, such as weight"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path, table, state, message):
    save_file(state or {"a": torch.ones(1)}, tmp_path / "a.safetensors", {"dino_ir": json.dumps(table)})

    with pytest.raises(WeightsError, match=message):
        load(tmp_path / "a.safetensors", device="cpu")


def test_weights_of_another_shape_are_refused(tmp_path):
    restorer: nn.Module = build("restorers", tiny_table()["restorer"])
    state = {name: torch.ones(1, 2, 3, 4, 5) for name in restorer.state_dict()}
    save_file(state, tmp_path / "a.safetensors", {"dino_ir": json.dumps(tiny_table())})

    with pytest.raises(WeightsError, match="does not fit") as problem:
        load(tmp_path / "a.safetensors", device="cpu")

    assert "\n" not in str(problem.value)


def test_restoring_does_not_need_pillow():
    code = "import sys; import dino_ir.inference; print('PIL' in sys.modules)"

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert shown.strip() == "False"
