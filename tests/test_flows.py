"""Train, load, evaluate, restore: the whole way, through what the package shows."""

import numpy as np
import pytest
import torch
from PIL import Image

import dino_ir
from dino_ir.benchmark import Benchmark
from dino_ir.catalog import build
from dino_ir.evaluation import METRICS, evaluate, mean
from dino_ir.files.images import Photo, write_photo
from dino_ir.ops.color import to_linear, to_srgb
from dino_ir.recipe import Recipe
from dino_ir.training import Run, train

NOISE = {"name": "gaussian_noise", "sigma": 50}
RECIPE = {
    "restorer": {
        "name": "dino_ir",
        "network": {"name": "nafnet", "width": 8, "encoder": [1], "middle": 1, "decoder": [1]},
        "prior": {"name": "patch_color"},
        "feature_fusion": {"name": "pixel_semantic", "channels": 4},
        "side": 32,
        "contrast": {"blocks": [0], "weights": [1.0], "weight": 0.001, "every": 4},
    },
    "phase": [{"steps": 60, "batch": 4, "crop": 24, "region": 32, "lr": [5e-3, 1e-4]}],
    "data": [{"dataset": {"name": "clean_folder", "root": "photos"}, "degradation": NOISE}],
    "average": 0.9,
    "precision": "fp32",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data folder with four smooth pictures, and the weights trained on them."""
    folder = tmp_path_factory.mktemp("flows")
    (folder / "photos").mkdir()
    ramp = torch.linspace(0.2, 0.8, 48).expand(3, 40, 48)
    for number in range(4):
        write_photo(folder / f"photos/{number}.png", Photo(ramp.roll(12 * number, dims=-1)))
    train(Recipe.parse(RECIPE, "flows"), Run(folder / "run", folder))
    return folder


@pytest.fixture(scope="module")
def restorer(folder):
    return dino_ir.load(folder / "run/weights.safetensors", device="cpu")


def test_what_was_trained_takes_noise_away(folder, restorer):
    photos = build("datasets", {"name": "clean_folder", "root": folder / "photos"})
    benchmark = Benchmark("toy", "denoise", photos, build("degradations", NOISE), seed=1)

    average = mean(list(evaluate(restorer, benchmark, METRICS)))

    assert average.scores["psnr"] > average.input_scores["psnr"] + 3
    assert average.scores["ssim"] > average.input_scores["ssim"]


def test_images_of_every_kind_come_back_as_they_came(folder, restorer):
    picture = Image.open(folder / "photos/0.png")
    array = np.asarray(picture)

    from_path = dino_ir.restore(restorer, folder / "photos/0.png")
    from_array = dino_ir.restore(restorer, array)
    from_picture = dino_ir.restore(restorer, picture)

    assert (from_array.dtype, from_array.shape) == (array.dtype, array.shape)
    assert from_picture.size == picture.size
    np.testing.assert_array_equal(from_path, from_array)
    np.testing.assert_array_equal(np.asarray(from_picture), from_array)


def test_tiles_share_the_context_of_the_whole_photo(restorer):
    photo = torch.rand(3, 96, 130)

    whole, tiled = (dino_ir.restore(restorer, photo, tile=tile) for tile in ("off", 64))

    torch.testing.assert_close(tiled, whole, rtol=0, atol=0.1)
    assert (tiled - whole).abs().mean() < 0.01


def test_half_the_strength_is_half_the_change_of_light(restorer):
    photo = torch.rand(3, 33, 41)

    full, half = (dino_ir.restore(restorer, photo, strength=strength) for strength in (1.0, 0.5))

    inside = (full > 0) & (full < 1)
    blended = to_srgb((to_linear(photo) + to_linear(full)) / 2)  # half of the light
    torch.testing.assert_close(half[inside], blended[inside], rtol=0, atol=1e-6)


def test_the_smallest_image_is_restored(restorer):
    assert dino_ir.restore(restorer, torch.rand(3, 1, 1)).shape == (3, 1, 1)
