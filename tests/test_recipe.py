import json
from dataclasses import asdict
from pathlib import Path

import pytest

from dino_ir.errors import RecipeError
from dino_ir.recipe import Phase, Recipe

MINIMAL = """
[restorer]
name = "identity"
[[phase]]
steps = 10
[[phase]]
steps = 5
lr = [1e-3, 1e-5]
[[data]]
dataset = { name = "clean_folder", root = "photos" }
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(MINIMAL)
    return path


def test_steps_fall_into_phases(path):
    recipe = Recipe.read(path)

    assert recipe.steps == 15
    assert recipe.place(9) == (recipe.phase[0], 9)
    assert recipe.place(10) == (recipe.phase[1], 0)
    with pytest.raises(IndexError):
        recipe.place(15)


def test_learning_rate_falls_as_half_a_cosine():
    phase = Phase(steps=100, lr=(1.0, 0.0))

    assert phase.lr_at(0) == pytest.approx(1.0)
    assert phase.lr_at(50) == pytest.approx(0.5)
    assert phase.lr_at(100) == pytest.approx(0.0)
    assert Phase(steps=100, lr=0.3).lr_at(77) == 0.3


def test_settings_are_toml_and_reach_into_tables(path):
    settings = ["average=0.5", "phase.1.steps=7", "restorer.name=plain", "restorer.network.width=8"]

    recipe = Recipe.read(path, settings)

    assert (recipe.average, recipe.steps) == (0.5, 17)
    assert recipe.restorer == {"name": "plain", "network": {"width": 8}}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["averge=0.5"], "unknown averge; known: phase, data"),
        (["phase.0.step=3"], "unknown step; known: steps, batch"),
        (["phase.9.steps=3"], "no 'phase.9.steps' in the recipe"),
        (["average"], "a setting looks like key=value"),
        (["precision=fp16"], "precision is one of bf16, fp32"),
        (["phase.0.crop=0"], "at least 1"),
        (["phase.1.steps=1.5"], r"phase\.1: steps is a whole number of at least 1; got 1\.5"),
        (["phase.1.steps=true"], r"phase\.1: steps is a whole number"),
        (["phase.1={crop=8}"], r"phase\.1: steps is missing"),
        (["phase.0.region=[20]"], r"phase\.0: region is a whole number or a pair"),
        (["phase.0.zoom=96"], r"phase\.0: zoom is a pair"),
        (["phase.0.zoom=[96, 64]", "phase.0.region=128"], r"phase\.0: zoom is a pair"),
        (["phase.0.lr=inf"], r"phase\.0: lr is a number or a pair"),
        (["save_every=0"], "save_every is a whole number of at least 1; got 0"),
        (["validate_every=0"], "validate_every is a whole number of at least 1; got 0"),
        (["betas=[0.9]"], "betas is a pair of numbers"),
        (["betas=[0.9, 1]"], "betas is a pair of numbers"),
        (["seed=a"], "seed is a whole number from 0; got 'a'"),
        (["average=2"], "average is a number from 0 to 1; got 2"),
        (["clip=-1"], "clip is a number above 0; got -1"),
        (["weight_decay=nan"], "weight_decay is a number from 0; got nan"),
        (["restorer=plain"], "restorer is a table with the name of a part"),
        (["phase={steps=3}"], r"phase is a list of tables: write \[\[phase\]\]"),
        (["data={weight=3}"], r"data is a list of tables: write \[\[data\]\]"),
        (["validation={limit=3}"], r"validation is a list of tables: write \[\[validation\]\]"),
        (["data.0.task=rain"], r"data\.0: unknown task; known: dataset, degradation, weight"),
        (["data.0={weight=1}"], r"data\.0: dataset is missing"),
        (["data.0.weight=0"], r"data\.0\.weight is a number above 0; got 0"),
        (["data.0.weight=much"], r"data\.0\.weight is a number above 0; got 'much'"),
        (["data.0.dataset=ph"], r"data\.0\.dataset is a table with the name of a part"),
        (["data.0.dataset.root=3"], r"data\.0\.dataset\.root is the text of a path; got 3"),
        (["validation=[{limit=3}]"], r"validation\.0: benchmark is missing"),
        (
            ['validation=[{benchmark="a", limits=3}]'],
            r"validation\.0: unknown limits; known: benchmark, limit",
        ),
        (['validation=[{benchmark="a", limit=0}]'], r"validation\.0\.limit is a whole number of at least 1"),
        (["phase.0.region=[64, 32]"], "region must be at least the crop"),
        (["phase.0.lr=[1, 2, 3]"], "lr is a number or a pair"),
        (["learner.name=x"], r"one \[restorer\] or one \[learner\]"),
        (["data=[]"], r"at least one \[\[phase\]\] and one \[\[data\]\]"),
    ],
)
def test_mistakes_are_named(path, settings, message):
    with pytest.raises(RecipeError, match=message):
        Recipe.read(path, settings)


def test_missing_and_broken_files_are_named(tmp_path):
    broken = tmp_path / "broken.toml"
    broken.write_text("steps = = 3")

    with pytest.raises(RecipeError, match=r"broken\.toml is not TOML"):
        Recipe.read(broken)
    with pytest.raises(RecipeError, match=r"absent\.toml cannot be read: No such file"):
        Recipe.read(Path("absent.toml"))


def test_a_checked_recipe_keeps_its_tables_as_they_are(path):
    """A run is resumed only if its recipe, as plain tables, equals the one in its checkpoint."""
    settings = [
        'validation=[{benchmark="rain100h", limit=3}]',
        "data.0.weight=2",
        "phase.0.region=[128, 256]",
    ]

    plain = asdict(Recipe.read(path, settings))

    assert plain["data"] == [{"dataset": {"name": "clean_folder", "root": "photos"}, "weight": 2}]
    assert plain["validation"] == [{"benchmark": "rain100h", "limit": 3}]
    assert plain["phase"][0]["region"] == [128, 256]
    assert plain["betas"] == (0.9, 0.999)


def test_an_option_that_came_later_was_as_it_is_by_default(path):
    recipe = Recipe.read(path, ["average=0.5"])
    saved = json.loads(json.dumps(asdict(recipe)))
    del saved["learns"], saved["betas"]

    assert recipe.changes_since(saved) == []
    assert Recipe.read(path, ['learns=["network"]', "average=0.5"]).changes_since(saved) == ["learns"]
    assert Recipe.read(path, ["seed=3"]).changes_since(saved) == ["seed", "average"]
    assert set(recipe.changes_since({})) >= {"phase", "data", "average"}
