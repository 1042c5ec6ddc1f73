"""An experiment run: train what is missing, score every arm, lay the numbers beside what was published."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from dino_ir.benchmark import Benchmark, read_benchmarks
from dino_ir.catalog import build
from dino_ir.comparison import (
    Score,
    compare,
    differences_as_markdown,
    means_as_markdown,
    read_scores,
    write_differences,
    write_means,
    write_scores,
)
from dino_ir.contracts import Restorer
from dino_ir.errors import DataError, RecipeError, TrainingError
from dino_ir.evaluation import Row, evaluate
from dino_ir.experiment import Arm, Experiment
from dino_ir.files.weights import digest, find_weights, read_weights
from dino_ir.forecast import forecast, foresee, missing_weights
from dino_ir.inference import load, restore
from dino_ir.pace import Step
from dino_ir.recipe import Recipe
from dino_ir.reported import reported_table
from dino_ir.smoke import make_photos, shrink_recipe, toy_benchmark
from dino_ir.training import WEIGHTS, Run, build_sources, train

__all__ = ["Site", "needs", "reproduce"]

_SIDE = 256  # of the photo that operations are counted for
_SMOKE = "Pictures made on the spot, networks of two steps: no number here means anything."
_COSTS = ("steps", "weights", f"GFLOP at {_SIDE}²", "PFLOP to train")


class Site(NamedTuple):
    """Where and how an experiment is run: what is not part of it.

    Attributes:
        out: where the results go.
        runs: folder of all runs, in folders that the arms name, one for each seed.
        recipes: folder of the recipes that the arms name.
        data: what the roots of datasets are relative to.
        device: torch's name for it.
        trains: whether to train what is missing; otherwise it is left out.
        stop: asked after each step of training and each benchmark; True stops.
        report: called after each step of training.
        tell: called with a line on what comes next.
    """

    out: Path
    runs: Path = Path("runs")
    recipes: Path = Path("recipes")
    data: Path | None = None
    device: str = "cpu"
    trains: bool = True
    stop: Callable[[], bool] = lambda: False
    report: Callable[[Step], None] = lambda _: None
    tell: Callable[[str], None] = lambda _: None


class _Job(NamedTuple):
    """An arm with a seed."""

    arm: Arm
    seed: int
    recipe: Recipe | None = None
    folder: Path = Path()


def needs(experiment: Experiment, site: Site) -> Iterator[str]:
    """Lines on what an experiment will take: memory and time of each arm, and what is not here yet.

    Raises:
        RecipeError: a recipe is missing or wrong.
    """
    jobs = _jobs(experiment, site)
    known: set[str] = set()
    for job in jobs:
        if job.recipe is not None and job.seed == experiment.seeds[0]:
            done = sum(_is_done(each) for each in jobs if each.arm == job.arm)
            yield f"{job.arm.title}: {len(experiment.seeds)} runs, {done} of them done; each:"
            yield from (f"  {line}" for line in foresee(job.recipe, site.device))
            known |= {*missing_weights(job.recipe), *_missing_data(job.recipe, site.data)}
    for name in experiment.benchmarks:
        try:
            read_benchmarks([name], site.data)
        except (DataError, RecipeError) as problem:
            known.add(f"benchmark {name}: {problem}")
    yield from (f"Missing: {line}" for line in sorted(known))


def reproduce(experiment: Experiment, site: Site) -> str:
    """Train what is missing, seed after seed, score all arms, and write what came of it.

    In `site.out`: `scores.csv` with a line for each arm, seed, benchmark and image, which later calls
    continue; `means.csv`; `differences.csv`; and `table.md`.

    Returns:
        The tables, in Markdown.

    Raises:
        RecipeError, DataError, WeightsError: something that the experiment names is wrong or missing.
        TrainingError: a run failed, a folder holds another recipe's run, or `site.stop` said so.
    """
    jobs, benchmarks = _jobs(experiment, site), _benchmarks(experiment, site)
    site.out.mkdir(parents=True, exist_ok=True)
    ready: list[_Job] = []
    for job in jobs:
        if _is_done(job) or (site.trains and _train(job, site)):
            ready.append(job)
        _go_on(site)
    scores = _score(ready, benchmarks, experiment, site)
    return _write(experiment, site.out, ready, [job for job in jobs if job not in ready], scores)


def _jobs(experiment: Experiment, site: Site) -> list[_Job]:
    """Every arm with every seed, seed by seed: the first whole comparison is done soonest."""
    jobs: list[_Job] = []
    for seed in experiment.seeds:
        for arm in experiment.arms:
            if arm.recipe is not None:
                recipe = Recipe.read(_recipe_file(arm.recipe, site), [*arm.settings, f"seed={seed}"])
                if experiment.scale == "smoke":
                    recipe = shrink_recipe(recipe, make_photos(site.runs / "photos"))
                jobs.append(_Job(arm, seed, recipe, site.runs / arm.run / str(seed)))
            elif seed == experiment.seeds[0]:
                jobs.append(_Job(arm, seed))
    return jobs


def _recipe_file(name: str, site: Site) -> Path:
    path = site.recipes / f"{name}.toml"
    if not path.is_file():
        hint = "give --recipes DIR, the recipes of a checkout of DINO-IR"
        raise RecipeError(f"{path} cannot be read: no such file; {hint}")
    return path


def _benchmarks(experiment: Experiment, site: Site) -> Mapping[str, Benchmark]:
    if experiment.scale == "smoke":
        photos = make_photos(site.runs / "photos")
        return {name: toy_benchmark(name, photos) for name in experiment.names}
    read = read_benchmarks(experiment.benchmarks, site.data)
    if list(read) != experiment.names:
        named = ", ".join(experiment.benchmarks)
        raise RecipeError(f"expected a benchmark for each column, got {named}; name each of them, once")
    return read


def _is_done(job: _Job) -> bool:
    """Whether its weights are there, of the recipe's last step.

    Raises:
        TrainingError: they are another recipe's.
    """
    if job.recipe is None:
        return True
    path = job.folder / WEIGHTS
    if not path.is_file():
        return False
    _state, table = read_weights(path)
    if changed := job.recipe.changes_since(table.get("recipe", {})):
        raise TrainingError(
            f"{path} is of a run with another {', '.join(changed)}: choose another folder by --runs"
        )
    return table.get("step") == job.recipe.steps


def _go_on(site: Site) -> None:
    if site.stop():
        raise TrainingError("stopped; the same command goes on")


def _train(job: _Job, site: Site) -> bool:
    assert job.recipe is not None
    site.tell(f"training {job.arm.name}, seed {job.seed}: {job.folder}")
    run = Run(job.folder, data=site.data, device=site.device, stop=site.stop, report=site.report)
    return train(job.recipe, run).is_done


def _missing_data(recipe: Recipe, data: Path | None) -> set[str]:
    missing: set[str] = set()
    for table in recipe.data:
        try:
            build_sources(replace(recipe, data=[table]), data)
        except DataError as problem:
            missing.add(str(problem))
    return missing


def _restorer(job: _Job, device: str) -> tuple[Restorer, str]:
    """What restores, and what tells it from others."""
    if job.arm.restorer is not None:
        return build("restorers", job.arm.restorer).eval(), json.dumps(job.arm.restorer, sort_keys=True)
    weights = job.folder / WEIGHTS if job.arm.weights is None else job.arm.weights
    return load(weights, device), digest(find_weights(weights))


def _score(
    jobs: Sequence[_Job], benchmarks: Mapping[str, Benchmark], experiment: Experiment, site: Site
) -> list[Score]:
    """Score every arm on every benchmark; what an earlier call has scored with the same weights is taken."""
    path, tile = site.out / "scores.csv", str(experiment.tile)
    known = read_scores(path)
    scores: list[Score] = []
    for job in jobs:
        restorer, weights = _restorer(job, site.device)
        for name, benchmark in benchmarks.items():
            key = (weights, name, benchmark.digest, tile)
            same = [each for each in known if (each.weights, each.benchmark, each.digest, each.tile) == key]
            found = {score.image: score for score in same}  # once, where two arms have the same weights
            if len(found) != len(benchmark.dataset):
                site.tell(f"scoring {job.arm.name}, seed {job.seed}, on {name}")
                place = (tile, benchmark.digest, weights)
                found = {
                    row.image: Score(job.arm.name, job.seed, name, row.image, *place, *_numbers(row))
                    for row in evaluate(restorer, benchmark, tile=experiment.tile)
                }
                known += found.values()
                write_scores(known, path)
                _go_on(site)
            scores += [replace(score, arm=job.arm.name, seed=job.seed) for score in found.values()]
    write_scores(scores, path)
    return scores


def _numbers(row: Row) -> tuple[float, float, float, float, float]:
    before, after = row.input_scores, row.scores
    return after["psnr"], after["ssim"], before["psnr"], before["ssim"], row.seconds


def _write(
    experiment: Experiment, out: Path, ready: list[_Job], missing: list[_Job], scores: list[Score]
) -> str:
    differences = compare(scores, experiment.control)
    costs = {job.arm.name: _costs(job, experiment.scale == "smoke") for job in reversed(ready)}
    lines = [f"# {experiment.title}", "", means_as_markdown(experiment, scores, _COSTS, costs)]
    if differences:
        lines += [
            "",
            "By photo and seed, with 95 % intervals over photos:",
        ]
        lines += ["", differences_as_markdown(differences, experiment)]
    lines += ["", *(f"- {note}" for note in _notes(experiment, missing))]
    text = "\n".join(lines)
    (out / "table.md").write_text(text + "\n", encoding="utf-8")
    write_means(scores, out / "means.csv")
    write_differences(differences, out / "differences.csv")
    return text


def _notes(experiment: Experiment, missing: Sequence[_Job]) -> Iterator[str]:
    yield f"Scale {experiment.scale}; PSNR in dB / SSIM; seeds {', '.join(map(str, experiment.seeds))}."
    if experiment.reported:
        table = reported_table(experiment.reported)
        about = "; ".join(filter(None, (table.source, table.note, table.differs)))
        yield f"Reported: {about}. Not comparable where our data or training is another."
    for job in missing:
        yield f"Not trained yet, and left out: {job.arm.title}, seed {job.seed}."
    yield from [_SMOKE] if experiment.scale == "smoke" else experiment.notes


def _costs(job: _Job, is_smoke: bool) -> list[str]:
    """Steps, weights that learn, operations for a photo and for training: with the prior, as it is run."""
    restorer, _ = _restorer(job, "cpu")
    weights = sum(p.numel() for p in restorer.parameters() if p.requires_grad)
    with FlopCounterMode(display=False) as counter:
        restore(restorer, torch.zeros(3, _SIDE, _SIDE))
    costs = [f"{weights:,}", f"{counter.get_total_flops() / 1e9:.2f}"]
    if job.recipe is None:
        return ["–", *costs, "–"]
    return [f"{job.recipe.steps:,}", *costs, "–" if is_smoke else f"{_training_flops(job.recipe) / 1e15:.3g}"]


def _training_flops(recipe: Recipe) -> float:
    """Operations of all steps; of a contrast, in those steps that compute it."""
    table = recipe.restorer or {}
    contrast = table.get("contrast") or {}
    alone = {key: value for key, value in table.items() if key != "contrast"}
    with_it = forecast(recipe)
    without = forecast(replace(recipe, restorer=alone)) if contrast else with_it
    total, first = 0.0, 0
    for phase, dear, cheap in zip(recipe.phase, with_it, without):
        steps = range(max(first, contrast.get("start", 0)), first + phase.steps, contrast.get("every", 1))
        total += phase.steps * cheap.flops + len(steps) * (dear.flops - cheap.flops)
        first += phase.steps
    return total
