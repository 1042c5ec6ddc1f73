"""Operations are counted where they are done, and only there."""

from dataclasses import replace
from pathlib import Path

import pytest

from dino_ir.catalog import build
from dino_ir.costs import SIDE, flops_in_words, flops_of_photo, flops_of_training
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


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 FLOP"),
        (1_500, "1.5 kFLOP"),
        (3.64e9, "3.64 GFLOP"),
        (17.44e12, "17.4 TFLOP"),
        (999.4e12, "999 TFLOP"),
        (999.6e12, "1 PFLOP"),
        (2.5e20, "250 EFLOP"),
    ],
)
def test_a_count_is_said_in_the_unit_it_reads_best_in(count, words):
    assert flops_in_words(count) == words


@pytest.mark.slow
@pytest.mark.parametrize(("start", "every", "due"), [(1, 2, (1, 1)), (0, 4, (1, 0))])
def test_a_contrast_costs_in_the_steps_that_compute_it(start, every, due, tmp_path):
    plain = shrink_recipe(Recipe.read(RECIPES / "guidance_tiny.toml"), tmp_path)
    contrast = {"blocks": [0, 2], "weights": [0.5, 1.0], "start": start, "every": every}
    with_it = replace(plain, restorer={**plain.restorer, "contrast": contrast})

    cheap, dear = ([each.flops for each in forecast(recipe)] for recipe in (plain, with_it))
    more = [count * (one - other) for count, one, other in zip(due, dear, cheap)]

    assert flops_of_training(plain) == 2 * sum(cheap)  # two phases of two steps
    assert flops_of_training(with_it) == pytest.approx(2 * sum(cheap) + sum(more))
