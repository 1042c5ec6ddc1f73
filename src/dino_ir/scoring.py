"""Benchmarks scored on several processes, row by row; what was scored before is not scored again."""

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import torch

from dino_ir.benchmark import Benchmark, read_available, read_benchmark, read_benchmarks
from dino_ir.catalog import build, read_table
from dino_ir.contracts import Restorer
from dino_ir.errors import DinoIRError
from dino_ir.evaluation import Row, evaluate
from dino_ir.files.weights import digest, find_weights
from dino_ir.inference import find_device, load
from dino_ir.ledger import Ledger
from dino_ir.ops.allocator import keep_freed_memory

__all__ = ["ALL", "Job", "Scores", "Subject", "score", "score_benchmarks", "workers"]

ALL = "all"
"""Stands for every benchmark of the package."""

_PACKAGES = ("dino-ir", "torch", "numpy", "pyvips")


@dataclass(frozen=True)
class Subject:
    """What is scored, in words that another process can build it from.

    Attributes:
        weights: as in `inference.load`.
        restorer: instead, a restorer that needs no weights: a name or a table, as in `catalog.read_table`.
        device: as in `inference.find_device`.
    """

    weights: str | Path = "default"
    restorer: str | None = None
    device: str = "auto"

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.restorer or str(self.weights)

    def load(self) -> Restorer:
        """Build the restorer.

        Raises:
            RecipeError, WeightsError, DinoIRError: it cannot be built.
        """
        if self.restorer is None:
            return load(self.weights, self.device)
        restorer: Restorer = build("restorers", read_table(self.restorer))
        return restorer.to(find_device(self.device)).eval()

    @property
    def digest(self) -> str:
        """Of the weight file, or of the restorer's table and the files it names."""
        if self.restorer is None:
            return digest(find_weights(self.weights))
        table = read_table(self.restorer)
        files = [digest(Path(value)) for value in table.values() if _is_file(value)]
        return hashlib.sha256(json.dumps([table, files], sort_keys=True).encode()).hexdigest()


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


class Scores(NamedTuple):
    """What came of several benchmarks, by name."""

    benchmarks: dict[str, Benchmark]  # those that were scored
    rows: dict[str, list[Row]]
    missing: dict[str, str]  # where the pictures of others are from, which are not here
    failed: dict[str, str]  # why others could not be scored


def score_benchmarks(
    names: Sequence[str],
    job: Job,
    processes: int = 1,
    folder: Path | None = None,
    is_anew: bool = False,
    saw: Callable[[str, int, int], None] = lambda name, done, images: None,
) -> Scores:
    """Score several benchmarks, or `["all"]` whose pictures are here.

    Args:
        names: as in `benchmark.read_benchmark`.
        job: what is the same for each.
        processes: that share the work.
        folder, is_anew, saw: as in `score`; `saw` is also told the benchmark's name.

    Raises:
        DinoIRError: as `score`; but of all benchmarks, one that cannot be scored is noted.
    """
    takes_all = list(names) == [ALL]
    if takes_all:
        here, missing = read_available(job.data, job.protocol)
    else:
        here, missing = read_benchmarks(names, job.data, job.protocol), dict[str, str]()
    _restorer(job.subject)  # what is wrong with it is said before anything is scored
    files = {Path(name).stem: name for name in names}
    scores = Scores({}, {}, missing, {})
    with workers(processes) as pool:
        for name, benchmark in here.items():
            each = replace(job, benchmark=files.get(name, name))
            try:
                scores.rows[name] = score(each, pool, folder, is_anew, partial(saw, name))
                scores.benchmarks[name] = benchmark
            except DinoIRError as problem:
                if not takes_all:
                    raise
                scores.failed[name] = str(problem)
    return scores


@contextmanager
def workers(count: int) -> Generator[Executor | None]:
    """Processes that share the work; None stands for this one alone.

    Raises:
        DinoIRError: one of them died.
    """
    if count == 1:
        yield None
        return
    context = multiprocessing.get_context("spawn")  # libvips does not survive a fork
    with ProcessPoolExecutor(count, context, keep_freed_memory) as pool:
        try:
            yield pool
        except BrokenProcessPool:
            raise DinoIRError("a process died, perhaps for want of memory: take fewer workers") from None
        finally:
            pool.shutdown(cancel_futures=True)


def score(
    job: Job,
    pool: Executor | None = None,
    folder: Path | None = None,
    is_anew: bool = False,
    saw: Callable[[int, int], None] = lambda done, images: None,
) -> list[Row]:
    """The rows of a benchmark, in order: the same for any number of processes, but for times and memory.

    On a CPU each process works with one thread: sums of several threads differ in their last bits, and a
    few numbers in a million are then rounded to other 8 bits.

    Args:
        job: what to score.
        pool: from `workers`.
        folder: where rows are written as they come, and from where those of an earlier run are taken if the
            digests of restorer, benchmark and picture are still the same. With a limit, the files' names
            say so.
        is_anew: those of an earlier run do not count.
        saw: is told how many rows there are, and how many there will be, after each.

    Raises:
        DinoIRError: the restorer or the benchmark cannot be built, or an image cannot be restored.
    """
    benchmark = _benchmark(job)
    images = len(benchmark.dataset)
    indices = range(images if job.limit is None else min(job.limit, images))
    rows: dict[int, Row] = {}
    ledger, pictures = None, [""] * len(indices)
    if folder is not None:
        name = Path(job.benchmark).stem + (f"_first{job.limit}" if job.limit else "")
        ledger = Ledger(folder, name, _identity(job, benchmark), _about(job, benchmark))
        pictures = [benchmark.picture(index) for index in indices]
        rows = {} if is_anew else ledger.kept(pictures, job.metrics)
    saw(len(rows), len(indices))
    missing = [index for index in indices if index not in rows]
    for index, row in zip(missing, (pool.map if pool else map)(_score_one, [job] * len(missing), missing)):
        rows[index] = row
        if ledger is not None:
            ledger.add(index, row, pictures[index])
        saw(len(rows), len(indices))
    if ledger is not None:
        ledger.close(rows, pictures)
    return [rows[index] for index in indices]


def _score_one(job: Job, index: int) -> Row:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        benchmark = _benchmark(job)
        metrics = benchmark.protocol.metrics(job.metrics)
        (row,) = evaluate(_restorer(job.subject), benchmark, metrics, job.tile, [index])
    finally:
        torch.set_num_threads(threads)
    return row


def _is_file(value: object) -> bool:
    return isinstance(value, str) and Path(value).is_file()


@lru_cache(maxsize=1)
def _restorer(subject: Subject) -> Restorer:
    return subject.load()


@lru_cache(maxsize=1)
def _benchmark(job: Job) -> Benchmark:
    return read_benchmark(job.benchmark, job.data, job.protocol)


def _identity(job: Job, benchmark: Benchmark) -> dict[str, str]:
    return {
        "restorer_digest": job.subject.digest,
        "benchmark_digest": benchmark.digest,
        "tile": str(job.tile),
        "device": find_device(job.subject.device).type,
    }


def _about(job: Job, benchmark: Benchmark) -> dict[str, str]:
    return {
        "restorer": job.subject.name,
        "protocol": benchmark.protocol.name,
        "versions": ", ".join(f"{package} {version(package)}" for package in _PACKAGES),
    }
