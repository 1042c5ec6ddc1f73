"""Operations are counted where they are done, and only there."""

from dataclasses import replace
from pathlib import Path

import pytest

from dino_ir.catalog import build
from dino_ir.costs import SIDE, flops_of_photo, flops_of_training
from dino_ir.forecast import forecast
from dino_ir.recipe import Recipe
from dino_ir.smoke import shrink_recipe

RECIPES = Path(__file__).parents[1] / "recipes"


def test_a_photo_costs_what_its_convolutions_cost():
    network = {"name": "nafnet", "width": 8, "encoder": (0,), "middle": 0, "decoder": (0,)}
    plain = build("restorers", {"name": "plain", "network": network}).eval()
    ends = 2 * (3 * 8 * 9)  # multiplications for each pixel: the first convolution, and the last
    between = (8 * 16 * 2**2 + 16 * 8 * 2**2) / 2**2  # to a quarter of the pixels, and back

    assert flops_of_photo(plain) == 2 * SIDE**2 * (ends + between)


@pytest.mark.slow
def test_a_contrast_costs_in_the_steps_that_compute_it(tmp_path):
    contrast = "restorer.contrast={start=1, every=3}"
    plain = shrink_recipe(Recipe.read(RECIPES / "guidance_tiny.toml"), tmp_path)
    with_it = shrink_recipe(Recipe.read(RECIPES / "guidance_tiny.toml", [contrast]), tmp_path)
    with_it = replace(with_it, restorer={**with_it.restorer, "contrast": {
        **with_it.restorer["contrast"], "start": 1, "every": 2}})  # fmt: skip

    cheap, dear = (sum(each.flops for each in forecast(recipe)) for recipe in (plain, with_it))

    assert flops_of_training(plain) == 2 * cheap
    assert flops_of_training(with_it) == pytest.approx(cheap + dear)  # steps 1 and 3 of 0 to 3
