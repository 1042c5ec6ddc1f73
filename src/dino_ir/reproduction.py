"""An experiment run: train what is missing, score every arm, lay the numbers beside what was published."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

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
from dino_ir.costs import SIDE, flops_of_photo, flops_of_training
from dino_ir.errors import DataError, RecipeError, TrainingError
from dino_ir.evaluation import Row, evaluate
from dino_ir.experiment import Experiment
from dino_ir.files.weights import digest, find_weights
from dino_ir.forecast import foresee, missing_weights
from dino_ir.inference import load
from dino_ir.jobs import Job, expect_known, jobs_of
from dino_ir.pace import Step
from dino_ir.recipe import Recipe
from dino_ir.reported import reported_table
from dino_ir.smoke import make_photos, toy_benchmark
from dino_ir.training import WEIGHTS, Run, build_learner, build_sources, train

__all__ = ["Site", "needs", "reproduce"]

_SMOKE = "Pictures made on the spot, networks of two steps: no number here means anything."
_SCORES = "scores.csv"
_COSTS = ("steps", "weights", f"GFLOP at {SIDE}²", "PFLOP to train")


class Site(NamedTuple):
    """Where and how an experiment is run: what is not part of it.

    Attributes:
        out: where the results go.
        runs: folder of all runs, in folders that the arms name, one for each seed.
        recipes: folder of the recipes that the arms name.
        data: what the roots of datasets are relative to.
        device: torch's name for it.
        trains: whether to train what is missing.
        only: arms, or one seed of an arm as in "guided/2", that may be trained; none named: all.
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
    only: Sequence[str] = ()
    stop: Callable[[], bool] = lambda: False
    report: Callable[[Step], None] = lambda _: None
    tell: Callable[[str], None] = lambda _: None


def needs(experiment: Experiment, site: Site) -> Iterator[str]:
    """Lines on what an experiment will take: memory and time of each arm, and what is not here yet.

    Raises:
        RecipeError: a recipe is missing or wrong.
    """
    jobs = jobs_of(experiment, site.runs, site.recipes)
    known: set[str] = set()
    for job in jobs:
        if job.recipe is not None and job.seed == experiment.seeds[0]:
            done = sum(each.is_done() for each in jobs if each.arm == job.arm)
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
    continue; `means.csv`; `differences.csv`; and `table.md`. Of a run that is not here, nor to be trained,
    the scores of an earlier call stand, and the table says so: machines can share an experiment.

    Returns:
        The tables, in Markdown.

    Raises:
        RecipeError, DataError, WeightsError: something that is named is wrong or missing.
        TrainingError: a run failed, a folder holds another recipe's run, or `site.stop` said so.
    """
    jobs = jobs_of(experiment, site.runs, site.recipes)
    expect_known(site.only, jobs)
    benchmarks = _benchmarks(experiment, site)
    site.out.mkdir(parents=True, exist_ok=True)
    ready: list[Job] = []
    for job in jobs:
        if job.is_done() or (_is_wanted(job, site) and _train(job, site)):
            ready.append(job)
        _go_on(site)
    absent = [job for job in jobs if job not in ready]
    kept = _scored_before(absent, benchmarks, experiment, site)
    scores = _score(ready, benchmarks, experiment, site, kept)
    return _write(experiment, site.out, jobs, absent, scores)


def _benchmarks(experiment: Experiment, site: Site) -> Mapping[str, Benchmark]:
    if experiment.scale == "smoke":
        photos = make_photos(site.runs / "photos")
        return {name: toy_benchmark(name, photos) for name in experiment.names}
    read = read_benchmarks(experiment.benchmarks, site.data)
    if list(read) != experiment.names:
        named = ", ".join(experiment.benchmarks)
        raise RecipeError(f"expected a benchmark for each column, got {named}; name each of them, once")
    return read


def _go_on(site: Site) -> None:
    if site.stop():
        raise TrainingError("stopped; the same command goes on")


def _is_wanted(job: Job, site: Site) -> bool:
    return site.trains and (not site.only or job.is_among(site.only))


def _train(job: Job, site: Site) -> bool:
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


def _restorer(job: Job, device: str) -> tuple[Restorer, str]:
    """What restores, and what tells it from others."""
    if job.arm.restorer is not None:
        return build("restorers", job.arm.restorer).eval(), json.dumps(job.arm.restorer, sort_keys=True)
    weights = job.folder / WEIGHTS if job.arm.weights is None else job.arm.weights
    return load(weights, device), digest(find_weights(weights))


def _scored_before(
    jobs: Sequence[Job], benchmarks: Mapping[str, Benchmark], experiment: Experiment, site: Site
) -> list[Score]:
    """What an earlier call scored of jobs, where it is whole and of these very benchmarks."""
    places = {(name, each.digest, str(experiment.tile)) for name, each in benchmarks.items()}
    photos = sum(len(each.dataset) for each in benchmarks.values())
    found: dict[tuple[str, int], dict[tuple[str, str], Score]] = {
        (job.arm.name, job.seed): {} for job in jobs
    }
    for score in read_scores(site.out / _SCORES):
        of_job = found.get((score.arm, score.seed))
        if of_job is not None and (score.benchmark, score.digest, score.tile) in places:
            of_job[score.benchmark, score.image] = score
    return [score for of_job in found.values() if len(of_job) == photos for score in of_job.values()]


def _score(
    jobs: Sequence[Job],
    benchmarks: Mapping[str, Benchmark],
    experiment: Experiment,
    site: Site,
    kept: Sequence[Score],
) -> list[Score]:
    """Score every arm on every benchmark; what an earlier call has scored with the same weights is taken.

    The scores that were `kept` of other jobs are written and returned with them, by seed and arm.
    """
    path, tile = site.out / _SCORES, str(experiment.tile)
    known = read_scores(path)
    scores = list(kept)
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
    arms = [arm.name for arm in experiment.arms]
    scores.sort(key=lambda score: (score.seed, arms.index(score.arm)))
    write_scores(scores, path)
    return scores


def _numbers(row: Row) -> tuple[float, float, float, float, float]:
    before, after = row.input_scores, row.scores
    return after["psnr"], after["ssim"], before["psnr"], before["ssim"], row.seconds


def _write(
    experiment: Experiment, out: Path, jobs: Sequence[Job], absent: Sequence[Job], scores: list[Score]
) -> str:
    differences = compare(scores, experiment.control)
    scored = {(score.arm, score.seed) for score in scores}
    known = [job for job in jobs if (job.arm.name, job.seed) in scored]
    costs = {job.arm.name: _costs(job, experiment.scale == "smoke") for job in reversed(known)}
    lines = [f"# {experiment.title}", "", means_as_markdown(experiment, scores, _COSTS, costs)]
    if differences:
        lines += [
            "",
            "By photo and seed, with 95 % intervals over photos:",
        ]
        lines += ["", differences_as_markdown(differences, experiment)]
    kept = [job for job in absent if job in known]
    missing = [job for job in absent if job not in known]
    lines += ["", *(f"- {note}" for note in _notes(experiment, kept, missing))]
    text = "\n".join(lines)
    (out / "table.md").write_text(text + "\n", encoding="utf-8")
    write_means(scores, out / "means.csv")
    write_differences(differences, out / "differences.csv")
    return text


def _notes(experiment: Experiment, kept: Sequence[Job], missing: Sequence[Job]) -> Iterator[str]:
    yield f"Scale {experiment.scale}; PSNR in dB / SSIM; seeds {', '.join(map(str, experiment.seeds))}."
    if experiment.reported:
        table = reported_table(experiment.reported)
        about = "; ".join(filter(None, (table.source, table.note, table.differs)))
        yield f"Reported: {about}. Not comparable where our data or training is another."
    if kept:
        yield f"Scored by an earlier call, the runs are not here: {', '.join(job.name for job in kept)}."
    for job in missing:
        yield f"Not trained yet, and left out: {job.arm.title}, seed {job.seed}."
    yield from [_SMOKE] if experiment.scale == "smoke" else experiment.notes


def _costs(job: Job, is_smoke: bool) -> list[str]:
    """Steps, weights that learn, operations for a photo and for training: with the prior, as it is run."""
    restorer = _restorer(job, "cpu")[0] if job.recipe is None else build_learner(job.recipe).product()
    assert isinstance(restorer, Restorer)  # a table's arms restore
    weights = sum(p.numel() for p in restorer.parameters() if p.requires_grad)
    costs = [f"{weights:,}", f"{flops_of_photo(restorer.eval()) / 1e9:.2f}"]
    if job.recipe is None:
        return ["–", *costs, "–"]
    training = "–" if is_smoke else f"{flops_of_training(job.recipe) / 1e15:.3g}"
    return [f"{job.recipe.steps:,}", *costs, training]
