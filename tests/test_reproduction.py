"""Every experiment runs from end to end when it is made tiny."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from dino_ir import reproduction
from dino_ir.catalog import build
from dino_ir.errors import DataError, RecipeError, TrainingError, WeightsError
from dino_ir.experiment import experiment_names, read_experiment
from dino_ir.recipe import Recipe
from dino_ir.reproduction import Site, reproduce
from dino_ir.smoke import make_photos, shrink_recipe, toy_benchmark

RECIPES = Path(__file__).parents[1] / "recipes"


def site(folder, **changes):
    return Site(folder / "out", folder / "runs", RECIPES)._replace(**changes)


def few(name, arms=2, columns=1):
    """An experiment's first arms, its control among them, with one seed and few columns."""
    smoke = read_experiment(name, "smoke")
    chosen = [arm for arm in smoke.arms if arm.name == smoke.control]
    chosen += [arm for arm in smoke.arms if arm not in chosen][: arms - 1]
    return replace(
        smoke,
        arms=chosen,
        seeds=[0],
        columns=smoke.columns[:columns],
        benchmarks=smoke.benchmarks[:columns],
        reported="",
    )


def lines(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", experiment_names())
def test_every_experiment_runs_at_smoke_scale(name, tmp_path):
    experiment = few(name)

    text = reproduce(experiment, site(tmp_path))

    assert all(f"| {arm.title} | " in text for arm in experiment.arms)
    assert len(lines(tmp_path / "out" / "scores.csv")) == 2 * 2  # arms, photos
    assert (tmp_path / "out" / "table.md").read_text() == text + "\n"
    assert {path.name for path in (tmp_path / "out").glob("*.csv")} == {
        "scores.csv",
        "means.csv",
        "differences.csv",
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", experiment_names())
def test_every_experiment_runs_whole_at_smoke_scale(name, tmp_path):
    experiment = read_experiment(name, "smoke")

    text = reproduce(experiment, site(tmp_path))

    trained = [arm for arm in experiment.arms if arm.recipe]
    others = len(experiment.arms) - len(trained)
    runs = others + len(trained) * len(experiment.seeds)
    assert len(lines(tmp_path / "out" / "scores.csv")) == runs * 2 * len(experiment.names)
    assert all(f"| {arm.title} | " in text for arm in experiment.arms)


def test_a_second_call_trains_and_scores_nothing_and_says_the_same(tmp_path):
    said = []
    experiment = few("guidance")
    first = reproduce(experiment, site(tmp_path, tell=said.append))
    count = len(said)

    again = reproduce(experiment, site(tmp_path, tell=said.append))

    assert again == first
    assert count == 4  # two runs, two scorings
    assert len(said) == count


def test_what_was_stopped_goes_on_later(tmp_path):
    steps = []
    experiment = few("guidance")
    stopped = site(tmp_path, report=lambda step: steps.append(step.step), stop=lambda: len(steps) >= 3)

    with pytest.raises(TrainingError, match="stopped; the same command goes on"):
        reproduce(experiment, stopped)
    whole = reproduce(experiment, site(tmp_path, report=lambda step: steps.append(step.step)))

    assert "left out" not in whole
    assert steps == [1, 2, 3, 4, 1, 2, 3, 4]


def test_tables_share_what_is_the_same_run(tmp_path):
    said = []
    reproduce(few("table1"), site(tmp_path, out=tmp_path / "one"))

    reproduce(few("table4"), site(tmp_path, out=tmp_path / "other", tell=said.append))

    assert said
    assert all(line.startswith("scoring") for line in said)


def test_without_training_what_is_missing_is_named(tmp_path):
    text = reproduce(few("guidance"), site(tmp_path, trains=False))

    assert "Not trained here, nor scored on all of this before, and left out: unguided/0, guided/0." in text
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["photos"]


def test_of_a_run_that_is_gone_the_scores_stand(tmp_path):
    experiment = few("guidance")
    first = reproduce(experiment, site(tmp_path))
    rows = lines(tmp_path / "out" / "scores.csv")
    shutil.rmtree(tmp_path / "runs" / "guidance" / "unguided")

    again = reproduce(experiment, site(tmp_path, trains=False))

    assert lines(tmp_path / "out" / "scores.csv") == rows
    assert "- Scored by an earlier call, not finished here: unguided/0." in again
    assert again.splitlines()[:-2] == first.splitlines()[:-1]


def test_what_two_machines_scored_is_one_table_once_their_files_are_one(tmp_path):
    experiment = few("guidance")
    whole = reproduce(experiment, site(tmp_path / "whole"))
    parts = [site(tmp_path / only, only=[only]) for only in ("unguided", "guided/0")]
    texts = []
    for part in parts:
        reproduce(experiment, part)
        texts.append((part.out / "scores.csv").read_text())
    joined = site(tmp_path / "joined", trains=False)
    joined.out.mkdir(parents=True)

    # The same photos once more, by a machine that took some other time.
    again = texts[1].replace("\n", "9\n").replace("seconds9", "seconds")
    (joined.out / "scores.csv").write_text(texts[0] + texts[1] + again)
    text = reproduce(experiment, joined)

    assert "- Scored by an earlier call, not finished here: unguided/0, guided/0." in text
    assert text.splitlines()[:-2] == whole.splitlines()[:-1]
    assert len(lines(joined.out / "scores.csv")) == 2 * 2  # arms, photos: each once


def test_scores_of_other_photos_do_not_stand_but_stay_in_the_file(tmp_path):
    experiment = few("guidance")
    reproduce(experiment, site(tmp_path))
    before = lines(tmp_path / "out" / "scores.csv")
    shutil.rmtree(tmp_path / "runs" / "guidance" / "unguided")

    text = reproduce(replace(experiment, tile=64), site(tmp_path, trains=False))
    again = reproduce(experiment, site(tmp_path, trains=False))

    assert "Not trained here, nor scored on all of this before, and left out: unguided/0." in text
    assert "| NAFNet alone |" not in text
    assert "| NAFNet alone |" in again
    rows = lines(tmp_path / "out" / "scores.csv")
    assert [row for row in rows if row["tile"] == str(experiment.tile)] == before
    assert {row["arm"] for row in rows if row["tile"] == "64"} == {"guided"}


def test_scores_of_two_trainings_of_one_run_are_not_mixed(tmp_path):
    experiment = few("guidance")
    first = reproduce(experiment, site(tmp_path))
    shutil.rmtree(tmp_path / "runs" / "guidance" / "unguided")
    file = tmp_path / "out" / "scores.csv"
    head, one, *rest = file.read_text().splitlines(keepends=True)
    of_another = one.replace(lines(file)[0]["weights"], "of another training")

    file.write_text("".join([head, one, *rest, of_another]))
    with_both = reproduce(experiment, site(tmp_path, trains=False))
    file.write_text("".join([head, of_another, *rest]))
    of_neither = reproduce(experiment, site(tmp_path, trains=False))

    assert with_both.splitlines()[:-2] == first.splitlines()[:-1]
    assert "left out: unguided/0." in of_neither


def test_of_two_trainings_of_one_run_the_last_in_the_file_stands(tmp_path):
    experiment = few("guidance")
    reproduce(experiment, site(tmp_path))
    shutil.rmtree(tmp_path / "runs" / "guidance" / "unguided")
    file = tmp_path / "out" / "scores.csv"
    cells = [line.split(",") for line in file.read_text().splitlines() if line.startswith("unguided,")]
    later = [",".join([*row[:6], "of a later training", "99", *row[8:]]) for row in cells]

    file.write_text("\n".join([file.read_text().rstrip(), *later]))

    assert "| NAFNet alone | 99.00 / " in reproduce(experiment, site(tmp_path, trains=False))
    assert "| NAFNet alone | 99.00 / " in reproduce(experiment, site(tmp_path, trains=False))


def test_what_arms_cost_is_said_where_their_priors_weights_are_missing(tmp_path, monkeypatch):
    experiment = few("guidance")
    first = reproduce(experiment, site(tmp_path))
    shutil.rmtree(tmp_path / "runs" / "guidance")

    def fail(_module):
        raise WeightsError("no such weights here")

    monkeypatch.setattr("dino_ir.training.fill_priors", fail)
    again = reproduce(experiment, site(tmp_path, trains=False))

    assert again.splitlines()[:-2] == first.splitlines()[:-1]


@pytest.mark.parametrize("only", ["guided", "guided/0"])
def test_only_what_is_named_is_trained(only, tmp_path):
    text = reproduce(few("guidance"), site(tmp_path, only=[only]))

    assert "Not trained here, nor scored on all of this before, and left out: unguided/0." in text
    assert {row["arm"] for row in lines(tmp_path / "out" / "scores.csv")} == {"guided"}


def test_a_broken_line_of_scores_is_said_before_anything_is_trained(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "scores.csv").write_text("arm\n")

    with pytest.raises(DataError, match=r"scores\.csv has other columns"):
        reproduce(few("guidance"), site(tmp_path))

    assert not list(tmp_path.glob("runs/guidance"))


def test_a_name_of_nothing_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(RecipeError, match="nothing that is trained is called guide;"):
        reproduce(few("guidance"), site(tmp_path, only=["guided", "guide"]))

    assert not (tmp_path / "out").exists()


def test_smoke_says_that_numbers_mean_nothing_and_not_what_is_true_of_another_scale(tmp_path):
    experiment = few("table4")

    text = reproduce(experiment, site(tmp_path))

    assert any("26 pairs of Rain100H" in note for note in experiment.notes)
    assert text.splitlines()[-1].endswith("no number here means anything.")
    assert "26 pairs" not in text


def test_what_was_reported_is_said_with_its_source_and_why_it_does_not_compare(tmp_path):
    experiment = replace(few("table6"), reported="dino_ir_6")

    text = reproduce(experiment, site(tmp_path))

    assert (
        "- Reported: arXiv 2312.01677 v3; trained as in Table 1, on as many of its tasks; the paper " in text
    )


def test_without_a_recipe_the_option_is_named_and_nothing_is_left(tmp_path):
    with pytest.raises(RecipeError, match=r"guidance_tiny\.toml cannot be read: .*; give --recipes DIR, "):
        reproduce(few("table1"), site(tmp_path, recipes=tmp_path / "recipes"))

    assert list(tmp_path.iterdir()) == []


def test_without_pictures_nothing_is_left(tmp_path):
    (tmp_path / "data").mkdir()

    with pytest.raises(DataError, match="bsd_val32"):
        reproduce(replace(few("guidance"), scale="small"), site(tmp_path, data=tmp_path / "data"))

    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_the_name_of_a_table_is_not_a_column(tmp_path, monkeypatch):
    monkeypatch.setattr(reproduction, "read_benchmarks", lambda _names, _data: {"sots_outdoor": None})
    experiment = replace(few("guidance"), scale="small", benchmarks=["p3"])

    with pytest.raises(RecipeError, match="expected a benchmark for each column, got p3; name each of them"):
        reproduce(experiment, site(tmp_path))


def test_weights_of_another_recipe_are_refused(tmp_path):
    experiment = few("guidance")
    reproduce(experiment, site(tmp_path))
    arm = experiment.arms[1]
    changed = arm._replace(settings=[*arm.settings, "average=0.5"])

    with pytest.raises(TrainingError, match="of a run with another average"):
        reproduce(replace(experiment, arms=[experiment.arms[0], changed]), site(tmp_path))


def test_an_arm_without_weights_is_scored_as_it_is(tmp_path):
    experiment = few("guidance")
    identity = experiment.arms[1]._replace(name="identity", recipe=None, restorer={"name": "identity"})

    reproduce(replace(experiment, arms=[experiment.arms[0], identity]), site(tmp_path))

    found = [line for line in lines(tmp_path / "out" / "scores.csv") if line["arm"] == "identity"]
    assert len(found) == 2
    assert all(line["psnr"] == line["input_psnr"] for line in found)  # noise is rounded to 8 bits already


def test_a_shrunk_recipe_keeps_its_parts_and_what_is_damaged(tmp_path):
    layer = "restorer.prior.layers=[4]"
    recipe = Recipe.read(RECIPES / "guidance_tiny.toml", [layer])
    pairs = Recipe.read(RECIPES / "dino_ir_paper_rain.toml")

    small = shrink_recipe(recipe, make_photos(tmp_path))

    assert small.steps == 4
    assert small.restorer["level_fusion"] == recipe.restorer["level_fusion"]
    assert len(small.restorer["prior"]["layers"]) == 1
    assert [each["degradation"] for each in small.data] == [each["degradation"] for each in recipe.data]
    assert [each["degradation"]["name"] for each in shrink_recipe(pairs, tmp_path).data] == ["gaussian_noise"]
    assert sum(p.numel() for p in build(*small.subject).parameters()) < 500_000
    assert len(toy_benchmark("Toy", tmp_path).dataset) == 2
