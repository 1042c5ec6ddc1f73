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
from dino_ir.costs import SIDE, flops_in_words, flops_of_photo, flops_of_training
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
from dino_ir.training import WEIGHTS, Run, build_sources, train

__all__ = ["Site", "needs", "reproduce"]

_SMOKE = "Pictures made on the spot, networks of two steps: no number here means anything."
_SCORES = "scores.csv"
_COSTS = ("steps", "weights", f"operations at {SIDE}²", "operations to train")


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
        RecipeError: a recipe is missing or wrong, or nothing is trained under a name of `site.only`.
    """
    jobs = jobs_of(experiment, site.runs, site.recipes)
    expect_known(site.only, jobs)
    wanted: dict[str, list[Job]] = {}
    for job in jobs:
        if job.recipe is not None and _is_wanted(job, site):
            wanted.setdefault(job.arm.name, []).append(job)
    known: set[str] = set()
    for of_arm in wanted.values():
        done, recipe = sum(job.is_done() for job in of_arm), of_arm[0].recipe
        assert recipe is not None
        yield f"{of_arm[0].arm.title}: {done} of {len(of_arm)} runs done; each:"
        yield from (f"  {line}" for line in foresee(recipe, site.device))
        known |= {*missing_weights(recipe), *_missing_data(recipe, site.data)}
    for name in experiment.benchmarks:
        try:
            read_benchmarks([name], site.data)
        except (DataError, RecipeError) as problem:
            known.add(f"benchmark {name}: {problem}")
    yield from (f"Missing: {line}" for line in sorted(known))


def reproduce(experiment: Experiment, site: Site) -> str:
    """Train what is missing, seed after seed, score all arms, and write what came of it.

    In `site.out`: `scores.csv` with a line for each arm, seed, benchmark and image, to which later calls add
    and of which they take nothing away; `means.csv`; `differences.csv`; and `table.md`. Of a run that is not
    finished here, nor to be trained, the scores of an earlier call stand, and the table says so: machines can
    share an experiment.

    Returns:
        The tables, in Markdown.

    Raises:
        RecipeError, DataError, WeightsError: something that is named is wrong or missing.
        TrainingError: a run failed, a folder holds another recipe's run, or `site.stop` said so.
    """
    jobs = jobs_of(experiment, site.runs, site.recipes)
    expect_known(site.only, jobs)
    benchmarks = _benchmarks(experiment, site)
    read_scores(site.out / _SCORES)  # what is wrong there is said before anything is trained
    site.out.mkdir(parents=True, exist_ok=True)
    ready: list[Job] = []
    for job in jobs:
        if job.is_done() or (_is_wanted(job, site) and _train(job, site)):
            ready.append(job)
        _go_on(site)
    absent = [job for job in jobs if job not in ready]
    scores = _score(ready, benchmarks, experiment, site)
    scores += _scored_before(absent, benchmarks, experiment, site)
    return _write(experiment, site.out, jobs, absent, _in_order(scores, experiment))


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
    """What an earlier call scored of jobs, where it is whole, of these very benchmarks and one training.

    Of several trainings, the last one in the file.
    """
    places = {(name, each.digest, str(experiment.tile)) for name, each in benchmarks.items()}
    photos = sum(len(each.dataset) for each in benchmarks.values())
    names = {(job.arm.name, job.seed) for job in jobs}
    trainings: dict[tuple[str, int, str], dict[tuple[str, str], Score]] = {}
    for score in read_scores(site.out / _SCORES):
        is_fit = (score.benchmark, score.digest, score.tile) in places
        if is_fit and (score.arm, score.seed) in names:
            of_one = trainings.setdefault((score.arm, score.seed, score.weights), {})
            of_one[score.benchmark, score.image] = score
    whole = {(arm, seed): each for (arm, seed, _), each in trainings.items() if len(each) == photos}
    return [score for each in whole.values() for score in each.values()]


def _score(
    jobs: Sequence[Job], benchmarks: Mapping[str, Benchmark], experiment: Experiment, site: Site
) -> list[Score]:
    """Score every arm on every benchmark; what an earlier call has scored with the same weights is taken.

    What else is in the file stays there.
    """
    path, tile = site.out / _SCORES, str(experiment.tile)
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
    once = {score.key: score for score in [*known, *scores]}
    write_scores(_in_order(list(once.values()), experiment), path)
    return scores


def _in_order(scores: Sequence[Score], experiment: Experiment) -> list[Score]:
    """By seed and arm, as they are trained; arms that the experiment lacks at the end of each seed."""
    arms = {arm.name: number for number, arm in enumerate(experiment.arms)}
    return sorted(scores, key=lambda score: (score.seed, arms.get(score.arm, len(arms))))


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
        lines += ["", "By photo and seed, with 95 % intervals over photos:", ""]
        lines += [differences_as_markdown(differences, experiment)]
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
        yield f"Scored by an earlier call, not finished here: {_listed(kept)}."
    if missing:
        yield f"Not trained here, nor scored on all of this before, and left out: {_listed(missing)}."
    yield from [_SMOKE] if experiment.scale == "smoke" else experiment.notes


def _listed(jobs: Sequence[Job]) -> str:
    return ", ".join(job.name for job in jobs)


def _costs(job: Job, is_smoke: bool) -> list[str]:
    """Steps, weights that learn, operations for a photo and for training: with the prior, as it is run."""
    # What is counted is the same with any weights, and a prior's may be missing here.
    restorer = _restorer(job, "cpu")[0] if job.recipe is None else build(*job.recipe.subject).product()
    assert isinstance(restorer, Restorer)  # a table's arms restore
    weights = sum(p.numel() for p in restorer.parameters() if p.requires_grad)
    costs = [f"{weights:,}", flops_in_words(flops_of_photo(restorer.eval()))]
    if job.recipe is None:
        return ["–", *costs, "–"]
    training = "–" if is_smoke else flops_in_words(flops_of_training(job.recipe))
    return [f"{job.recipe.steps:,}", *costs, training]
