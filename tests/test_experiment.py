import re
from dataclasses import replace
from pathlib import Path

import pytest

from dino_ir.benchmark import benchmark_names
from dino_ir.errors import RecipeError
from dino_ir.experiment import experiment_names, read_experiment
from dino_ir.recipe import Recipe
from dino_ir.reported import reported_table

RECIPES = Path(__file__).parents[1] / "recipes"
OURS = ["guidance", "networks", "optimizers"]  # which the paper has not
SCALED = [(name, "small") for name in experiment_names()]
SCALED += [(name, "paper") for name in experiment_names() if name not in OURS]
SMALL = """
title = "Two arms"
columns = ["noise"]
control = "a"
[small]
recipe = "guidance_tiny"
benchmarks = ["bsd_val32_noise25"]
[[arm]]
name = "a"
title = "A"
small = {}
[[arm]]
name = "b"
title = "B"
small = { settings = ["restorer.mismatched=true"] }
"""


def write(folder, text):
    path = folder / "two.toml"
    path.write_text(text)
    return path


EXPERIMENTS = [pytest.param(read_experiment(*each), id="-".join(each)) for each in SCALED]


def test_the_tables_of_the_paper_and_ours_are_there():
    assert experiment_names() == [*OURS, *(f"table{number}" for number in range(1, 7))]


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_arm_that_is_trained_has_a_recipe_that_takes_its_settings(experiment):
    for arm in experiment.arms:
        if arm.recipe is not None:
            assert Recipe.read(RECIPES / f"{arm.recipe}.toml", [*arm.settings, "seed=3"]).seed == 3


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_its_benchmarks_exist(experiment):
    assert set(experiment.benchmarks) <= set(benchmark_names())


@pytest.mark.parametrize("number", range(1, 7))
def test_at_the_papers_scale_columns_are_those_that_were_reported(number):
    experiment = read_experiment(f"table{number}", "paper")

    assert tuple(experiment.benchmarks) == reported_table(experiment.reported).benchmarks


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_arms_that_share_a_folder_are_the_same_run(experiment):
    others = [read_experiment(*each) for each in SCALED]
    for arm in experiment.arms:
        for other in others:
            for same in other.arms:
                if arm.recipe and other.scale == experiment.scale and same.run == arm.run:
                    recipes = [
                        Recipe.read(RECIPES / f"{each.recipe}.toml", each.settings) for each in (arm, same)
                    ]
                    assert recipes[0] == recipes[1]


def test_smoke_is_the_smallest_scale_there_is_with_two_seeds():
    smoke, small = read_experiment("guidance", "smoke"), read_experiment("guidance", "small")

    assert smoke == replace(small, scale="smoke", seeds=[0, 1])


def test_any_arm_that_is_trained_can_be_the_control(tmp_path):
    experiment = read_experiment(write(tmp_path, SMALL), "small")

    assert experiment.compared_with("b") == replace(experiment, control="b")
    with pytest.raises(RecipeError, match="no arm 'c' that is trained, to compare with; there are: a, b"):
        experiment.compared_with("c")
    with pytest.raises(RecipeError, match="no arm 'dino_ir_tiny' that is trained"):
        read_experiment("table1", "small").compared_with("dino_ir_tiny")


def test_settings_of_the_scale_come_before_those_of_the_arm(tmp_path):
    path = write(tmp_path, SMALL.replace("[small]", '[small]\nsettings = ["average=0.5"]'))

    plain, mismatched = read_experiment(path, "small").arms

    assert (plain.settings, plain.run) == (("average=0.5",), "two/a")
    assert mismatched.settings == ("average=0.5", "restorer.mismatched=true")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[small]", "[small]\nbatch = 3"), "small.unknown batch"),
        (('control = "a"', 'control = "c"'), "control is one of different arms; got 'c'"),
        (('name = "b"', 'name = "a"'), "control is one of different arms"),
        (('columns = ["noise"]', "columns = []"), "1 benchmarks do not fit 0 columns"),
        (('title = "Two arms"', ""), "title is missing"),
        (('recipe = "guidance_tiny"', ""), "arm a, small: a recipe, weights or a restorer is missing"),
        (("[small]", "[small"), "is not TOML"),
        (
            ("[small]", "[small]\nseeds = 0"),
            "two.toml: small.seeds: expected a list of whole numbers, such as [0, 1, 2], got 0",
        ),
        (("[small]", "[small]\nseeds = []"), "small.seeds: expected a list of whole numbers"),
        (("[small]", "[small]\nseeds = [0, -1]"), "small.seeds: expected a list of whole numbers"),
        (("[small]", '[small]\ntile = "big"'), 'small.tile: expected "auto", "off" or a number of pixels'),
        (('columns = ["noise"]', 'columns = "noise"'), "columns: expected a list of texts"),
        (('title = "Two arms"', "title = 2"), "two.toml: title: expected a text, got 2"),
        (('title = "A"\nsmall = {}', 'title = "A"\nsmall = 3'), "arm: small: expected a table, got 3"),
        (("small = {}", "small = { settings = 3 }"), "arm a, small: settings: expected a list of texts"),
        (('control = "a"', 'control = "a"\nreported = "nope"'), "no reported table 'nope'; there are: allw"),
        (('control = "a"', 'control = "a"\nreported = "p3"'), "the 5 columns of p3 do not fit 1 columns"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, change, message):
    path = write(tmp_path, SMALL.replace(*change))

    with pytest.raises(RecipeError, match=re.escape(message)):
        read_experiment(path, "small")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('title = "T"\ncolumns = []\ncontrol = "a"\narm = []\nsmall = 3', "small: expected a table, got 3"),
        ('title = "T"\ncolumns = []\ncontrol = "a"\narm = 3\n[small]', "arm: expected tables, each below"),
    ],
)
def test_what_is_no_table_is_named(tmp_path, text, message):
    with pytest.raises(RecipeError, match=message):
        read_experiment(write(tmp_path, text), "small")


def test_an_unknown_experiment_or_scale_lists_what_there_is():
    with pytest.raises(
        RecipeError, match="no experiment 'table9'; there are: guidance, networks, optimizers, table1"
    ):
        read_experiment("table9", "small")
    with pytest.raises(RecipeError, match="no scale 'paper'; it has: smoke, small"):
        read_experiment("guidance", "paper")
