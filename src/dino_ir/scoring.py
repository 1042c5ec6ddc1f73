"""Benchmarks scored on several processes, row by row; what was scored before is not scored again."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from dino_ir.benchmark import Benchmark, read_available, read_benchmark, read_benchmarks
from dino_ir.contracts import Restorer
from dino_ir.errors import DinoIRError, RecipeError
from dino_ir.evaluation import Row, score_image
from dino_ir.folders import check_border
from dino_ir.inference import find_device
from dino_ir.ledger import Ledger
from dino_ir.page import make_preview
from dino_ir.subject import UNSAID, Subject
from dino_ir.workforce import one_thread, workers

__all__ = ["ALL", "Job", "Scores", "Shot", "score", "score_benchmarks"]

ALL = "all"
"""Stands for every benchmark of the package."""

_PACKAGES = ("dino-ir", "torch", "numpy", "pyvips")


@dataclass(frozen=True)
class Job:
    """One benchmark to be scored, in words that another process can read it from.

    Attributes:
        subject: what is scored.
        benchmark, data, protocol: as in `benchmark.read_benchmark`.
        metrics: by name.
        tile: as in `inference.restore`.
        limit: of images, from the first.
    """

    subject: Subject
    benchmark: str = ""
    data: Path | None = None
    protocol: str | None = None
    metrics: tuple[str, ...] = ("psnr", "ssim")
    tile: int | str = "auto"
    limit: int | None = None


class Shot(NamedTuple):
    """One photo as it was scored just now."""

    row: Row
    pictures: tuple[bytes, ...] = ()  # JPEGs of it degraded, restored and clean, where asked for


class Scores(NamedTuple):
    """What came of several benchmarks, by name."""

    benchmarks: dict[str, Benchmark]  # those that were scored
    rows: dict[str, list[Row]]
    missing: dict[str, str]  # where the pictures of others are from, which are not here
    failed: dict[str, str]  # why others could not be scored
    program: str = ""  # what ran the restorer, where it is not torch in float32 on each photo as it is


def score_benchmarks(
    names: Sequence[str],
    job: Job,
    processes: int = 1,
    folder: Path | None = None,
    is_anew: bool = False,
    saw: Callable[[str, int, int], None] = lambda name, done, images: None,
    show: Callable[[str, Row, Shot], None] | None = None,
) -> Scores:
    """Score several benchmarks, or `["all"]` whose pictures are here.

    Args:
        names: as in `benchmark.read_benchmark`.
        job: what is the same for each; the backend "auto" is chosen by the pixels of all of them.
        processes: that share the work.
        folder, is_anew, saw, show: as in `score`; `saw` is also told the benchmark's name, and `show` its
            title and its name, with `Scores.program`.

    Raises:
        DinoIRError: "all" beside others; or as `score`, but of all, one that cannot be scored is noted.
    """
    takes_all = list(names) == [ALL]
    if ALL in names and not takes_all:
        raise RecipeError(f"{ALL} stands alone: give it without other benchmarks, or name those you want")
    if takes_all:
        here, missing = read_available(job.data, job.protocol)
    else:
        here, missing = read_benchmarks(names, job.data, job.protocol), dict[str, str]()
    job = replace(job, subject=job.subject.settled(_pixels(job, here.values())))
    _restorer(job.subject)  # what is wrong with it is said before anything is scored
    files = {Path(name).stem: name for name in names}
    scores = Scores({}, {}, missing, {}, job.subject.program_in_words)
    jobs = {name: replace(job, benchmark=files.get(name, name)) for name in here}
    if folder is not None and not is_anew:
        for name, benchmark in here.items():
            _ledger(jobs[name], benchmark, folder).refuse_others()
    with workers(processes) as pool:
        for name, benchmark in here.items():
            title = ", ".join(filter(None, (f"{benchmark.title} ({name})", scores.program)))
            shown = partial(show, title) if show else None
            try:
                scores.rows[name] = score(jobs[name], pool, folder, is_anew, partial(saw, name), shown)
                scores.benchmarks[name] = benchmark
            except DinoIRError as problem:
                if not takes_all:
                    raise
                scores.failed[name] = str(problem)
    return scores


def score(
    job: Job,
    pool: Executor | None = None,
    folder: Path | None = None,
    is_anew: bool = False,
    saw: Callable[[int, int], None] = lambda done, images: None,
    show: Callable[[Row, Shot], None] | None = None,
) -> list[Row]:
    """The rows of a benchmark, in order: the same for any number of processes, but for times and memory.

    On a CPU each process works with one thread: sums of several threads differ in their last bits, and a
    few numbers in a million are then rounded to other 8 bits.

    Args:
        job: what to score.
        pool: from `workforce.workers`.
        folder: where rows are written as they come, and from where those of an earlier run are taken if the
            digests of restorer, benchmark and picture are still the same, and tile, device, backend and
            precision, and mirroring. With a limit, the files' names say so.
        is_anew: those of an earlier run do not count, and those of another restorer are replaced.
        saw: is told how many photos are done, and how many there are, after each.
        show: is given each row with the photo's pictures. Those whose rows are of an earlier run are restored
            again for it: the row stays, and what they score now is in the `Shot`.

    Raises:
        DinoIRError: what was asked cannot be built or restored, or the folder has rows of another restorer.
    """
    benchmark = _benchmark(job)
    job = replace(job, subject=job.subject.settled(_pixels(job, [benchmark])))
    indices = range(_count(job, benchmark))
    rows: dict[int, Row] = {}
    ledger, pictures = None, [""] * len(indices)
    if folder is not None:
        ledger = _ledger(job, benchmark, folder)
        pictures = [benchmark.picture(index) for index in indices]
        rows = {} if is_anew else ledger.kept(pictures, job.metrics, UNSAID)
    wanted = [index for index in indices if show or index not in rows]
    before = len(indices) - len(wanted)
    saw(before, len(indices))
    shots = (pool.map if pool else map)(partial(_score_one, job, show is not None), wanted)
    for done, (index, shot) in enumerate(zip(wanted, shots), before + 1):
        if ledger is not None and index not in rows:
            ledger.add(index, shot.row, pictures[index])
        rows.setdefault(index, shot.row)
        if show:
            show(rows[index], shot)
        saw(done, len(indices))
    if ledger is not None:
        ledger.close(rows, pictures)
    return [rows[index] for index in indices]


def _score_one(job: Job, is_shown: bool, index: int) -> Shot:
    with one_thread():
        benchmark, restorer = _benchmark(job), _restorer(job.subject)
        restorer.forget()
        metrics = benchmark.protocol.metrics(job.metrics)
        row, *pictures = score_image(restorer, benchmark, index, metrics, job.tile)
        check_border(benchmark.protocol, pictures[-1], row.image)
    return Shot(row, tuple(make_preview(picture) for picture in pictures) if is_shown else ())


def _count(job: Job, benchmark: Benchmark) -> int:
    images = len(benchmark.dataset)
    return images if job.limit is None else min(job.limit, images)


def _pixels(job: Job, benchmarks: Iterable[Benchmark]) -> float:
    """About how many there are to restore, by the first photo of each; none where nobody asks."""
    total = 0.0
    for benchmark in benchmarks if job.subject.backend == "auto" else ():
        with suppress(DinoIRError):  # a photo that cannot be read is said when it is scored
            total += _count(job, benchmark) * benchmark.dataset[0].clean[0].numel()
    return total


@lru_cache(maxsize=1)
def _restorer(subject: Subject) -> Restorer:
    with one_thread():  # OpenVINO and onnxruntime keep the number they start with
        return subject.load()


@lru_cache(maxsize=1)
def _benchmark(job: Job) -> Benchmark:
    return read_benchmark(job.benchmark, job.data, job.protocol)


def _ledger(job: Job, benchmark: Benchmark, folder: Path) -> Ledger:
    name = Path(job.benchmark).stem + (f"_first{job.limit}" if job.limit else "")
    return Ledger(folder, name, _identity(job, benchmark), _about(job, benchmark))


def _identity(job: Job, benchmark: Benchmark) -> dict[str, str]:
    return {
        "restorer_digest": job.subject.digest,
        "benchmark_digest": benchmark.digest,
        "tile": str(job.tile),
        "device": find_device(job.subject.device).type,
        **job.subject.program,
    }


def _about(job: Job, benchmark: Benchmark) -> dict[str, str]:
    return {
        "restorer": job.subject.name,
        "protocol": benchmark.protocol.name,
        "versions": ", ".join(f"{package} {version(package)}" for package in _PACKAGES),
    }
