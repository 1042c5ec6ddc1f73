"""An experiment's runs: which there are, where they lie, and what they are called."""

from pathlib import Path

import pytest

from dino_ir.errors import RecipeError
from dino_ir.experiment import read_experiment
from dino_ir.jobs import expect_known, jobs_of

RECIPES = Path(__file__).parents[1] / "recipes"


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    return jobs_of(read_experiment("guidance", "small"), tmp_path_factory.mktemp("runs"), RECIPES)


def test_all_arms_of_a_seed_come_before_the_next_seed(jobs):
    arms = [arm.name for arm in read_experiment("guidance", "small").arms]

    assert [job.name for job in jobs] == [f"{arm}/{seed}" for seed in (0, 1, 2) for arm in arms]


def test_a_run_has_its_seed_and_a_folder_of_its_own(jobs):
    assert [job.recipe.seed for job in jobs] == [job.seed for job in jobs]
    assert len({job.folder for job in jobs}) == len(jobs)
    assert not any(job.is_done() for job in jobs)


def test_an_arm_without_training_has_one_job_and_is_done(tmp_path):
    jobs = jobs_of(read_experiment("table1", "small"), tmp_path, RECIPES)

    shipped = [job for job in jobs if job.arm.weights == "dino_ir_tiny"]

    assert [job.seed for job in shipped] == [jobs[0].seed]
    assert shipped[0].is_done()


def test_a_job_goes_by_its_arm_and_by_its_own_name(jobs):
    second = next(job for job in jobs if job.name == "guided/1")

    assert second.is_among(["guided"])
    assert second.is_among(["sum", "guided/1"])
    assert not second.is_among(["guided/0", "sum"])
    assert not second.is_among([])


@pytest.mark.parametrize("name", ["guide", "guided/7", "guided/", ""])
def test_a_name_of_nothing_is_answered_with_those_there_are(jobs, name):
    known = "arms are unguided, guided, sum, .*bounded; one seed of them: bounded/2"

    with pytest.raises(RecipeError, match=f"nothing that is trained is called {name}; {known}"):
        expect_known(["guided", name], jobs)


def test_what_is_not_trained_cannot_be_named(tmp_path):
    jobs = jobs_of(read_experiment("table1", "small"), tmp_path, RECIPES)
    shipped = next(job for job in jobs if job.arm.weights == "dino_ir_tiny")

    with pytest.raises(RecipeError, match=f"nothing that is trained is called {shipped.arm.name}; arms are "):
        expect_known([shipped.arm.name], jobs)
    with pytest.raises(RecipeError, match=f"nothing that is trained is called {shipped.arm.name}; no arm is"):
        expect_known([shipped.arm.name], [shipped])
