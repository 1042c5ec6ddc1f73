"""The runs of an experiment: every arm with every seed, and where it lies."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dino_ir.errors import RecipeError, TrainingError
from dino_ir.experiment import Arm, Experiment
from dino_ir.files.weights import read_weights
from dino_ir.recipe import Recipe
from dino_ir.smoke import make_photos, shrink_recipe
from dino_ir.training import WEIGHTS

__all__ = ["Job", "expect_known", "jobs_of"]


class Job(NamedTuple):
    """An arm with a seed.

    Attributes:
        arm: what is compared.
        seed: of its training; of an arm without any, the experiment's first.
        recipe: what trains it, or None.
        folder: of its run.
    """

    arm: Arm
    seed: int
    recipe: Recipe | None = None
    folder: Path = Path()

    @property
    def name(self) -> str:
        """Such as "guided/2"."""
        return f"{self.arm.name}/{self.seed}"

    def is_among(self, names: Sequence[str]) -> bool:
        """Whether one of the names is its arm's or its own."""
        return self.arm.name in names or self.name in names

    def is_done(self) -> bool:
        """Whether its weights are there, of the recipe's last step; always without a recipe.

        Raises:
            TrainingError: they are another recipe's.
        """
        if self.recipe is None:
            return True
        path = self.folder / WEIGHTS
        if not path.is_file():
            return False
        _state, table = read_weights(path)
        if changed := self.recipe.changes_since(table.get("recipe", {})):
            raise TrainingError(
                f"{path} is of a run with another {', '.join(changed)}: choose another folder by --runs"
            )
        return table.get("step") == self.recipe.steps


def jobs_of(experiment: Experiment, runs: Path, recipes: Path) -> list[Job]:
    """Every arm with every seed, seed by seed: the first whole comparison is done soonest.

    Args:
        experiment: arms, seeds and scale.
        runs: folder of all runs, in folders that the arms name, one for each seed.
        recipes: folder of the recipes that the arms name.

    Raises:
        RecipeError: a recipe is missing or wrong.
    """
    jobs: list[Job] = []
    for seed in experiment.seeds:
        for arm in experiment.arms:
            if arm.recipe is not None:
                recipe = Recipe.read(_recipe_file(arm.recipe, recipes), [*arm.settings, f"seed={seed}"])
                if experiment.scale == "smoke":
                    recipe = shrink_recipe(recipe, make_photos(runs / "photos"))
                jobs.append(Job(arm, seed, recipe, runs / arm.run / str(seed)))
            elif seed == experiment.seeds[0]:
                jobs.append(Job(arm, seed))
    return jobs


def expect_known(names: Sequence[str], jobs: Sequence[Job]) -> None:
    """Refuse names that are neither of an arm nor of one of its seeds.

    Raises:
        RecipeError: there is such a name, or nothing is trained under it.
    """
    trained = [job for job in jobs if job.recipe is not None]
    for name in names:
        if not any(job.is_among([name]) for job in trained):
            arms = ", ".join(dict.fromkeys(job.arm.name for job in trained))
            there_is = f"arms are {arms}; one seed of them: {trained[-1].name}" if trained else "no arm is"
            raise RecipeError(f"nothing that is trained is called {name}; {there_is}")


def _recipe_file(name: str, recipes: Path) -> Path:
    path = recipes / f"{name}.toml"
    if not path.is_file():
        hint = "give --recipes DIR, the recipes of a checkout of DINO-IR"
        raise RecipeError(f"{path} cannot be read: no such file; {hint}")
    return path
