"""Restore photos on every machine of a Ray cluster (extra `ray`): paths or URLs in, a row per photo out."""

import logging
import os
import posixpath
import shutil
import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from dino_ir.errors import DataError, DinoIRError
from dino_ir.formats.headers import KNOWN_SUFFIXES
from dino_ir.inference import load
from dino_ir.ops.allocator import keep_freed_memory
from dino_ir.photos import AS_IT_COMES, Options
from dino_ir.places import Job, check_named, name_result
from dino_ir.restoration import Result, restore_files
from dino_ir.unfinished import sweep

__all__ = ["RemoteJob", "Worker", "plan_remote", "restore_on_cluster"]

_MOST_BLOCKS = 10_000  # that Ray plans; of fewer photos, each is a block, and lost alone with its worker
_ROUNDS = 4  # in each after the first, those whose worker died are tried again


class RemoteJob(NamedTuple):
    """A photo and where its restored version goes: absolute paths that all machines have, or URLs."""

    photo: str
    result: str


def plan_remote(
    paths: Sequence[str],
    out: str,
    suffix: str | None = None,
    listed: Sequence[str] = (),
    overwrite: bool = False,
) -> tuple[list[RemoteJob], int]:
    """Find the photos, and which of them have no result yet; results keep the tree below `out`.

    What lies in `out`, where that is a folder below the photos', is the work of earlier runs, and no photo.

    Args:
        paths: photos, folders, and patterns such as "s3://bucket/photos/**/*.jpg": paths, or URLs of
            any kind that fsspec knows.
        out: a folder, as a path or a URL.
        suffix: of one kind for all results, such as ".png"; None follows the photos.
        listed: more photos, none of them a pattern, whose results keep all of their folders.
        overwrite: whether to do those again that have a result.

    Returns:
        What is left to do, and how many are done.

    Raises:
        DataError: nothing there, two results of one name, an empty path, or a kind of URL that needs another
            package.
    """
    check_named(*paths, *listed, out)
    files, folder = _open(out)
    kept = _shown(files, folder.rstrip("/"))
    done = set() if overwrite else {_shown(files, path) for path in files.find(folder)}
    jobs = dict[str, RemoteJob]()
    for photo, name in chain(*(_find(path, kept) for path in paths), map(_listed, listed)):
        result = _shown(files, posixpath.join(folder, name_result(Path(name), suffix).as_posix()))
        if jobs.setdefault(result, RemoteJob(photo, result)).photo != photo:
            raise DataError(f"{jobs[result].photo} and {photo} would both become {result}")
    if not jobs:
        raise DataError("the list of photos is empty")
    if overlap := {job.photo for job in jobs.values()} & jobs.keys():
        raise DataError(f"a result would replace the photo {overlap.pop()}; choose another place")
    left = [job for result, job in jobs.items() if result not in done]
    if "file" in files.protocol:
        sweep(Path(job.result) for job in left)
    return left, len(jobs) - len(left)


def restore_on_cluster(
    jobs: Sequence[RemoteJob],
    weights: str = "default",
    options: Options = AS_IT_COMES,
    address: str | None = None,
    workers: int | None = None,
) -> Iterator[Result]:
    """Restore photos by actors that keep the restorer loaded; yield what became of each, as it comes.

    A photo whose worker or machine dies is done by another one, unless it kills one after the other:
    then it fails alone.

    Args:
        jobs: from `plan_remote`.
        weights: as in `inference.load`; a file must be there on every machine.
        options: how to restore and to write.
        address: of the cluster; None is the one that runs here, or else this machine alone.
        workers: how many; None is one for each GPU, or, where there is none, for each CPU core.

    Raises:
        DinoIRError: Ray is not installed, there is no cluster at the address, or it gave up, such as
            where no worker finds the weights.
    """
    if not jobs:
        return
    ray = _connect(address)
    lost = {job.result: job for job in jobs}
    for _round in range(_ROUNDS):
        try:
            for row in _spread(ray, list(lost.values()), (weights, options), workers):
                if lost.pop(row["result"], None):
                    yield Result(**row)
        except ray.exceptions.RayError as problem:
            raise DinoIRError(f"the cluster gave up: {str(problem).strip().splitlines()[-1]}") from None
        if not lost:
            return
    for job in lost.values():
        yield Result(*job, "failed", f"its worker died {_ROUNDS} times")


def _spread(
    ray: Any, jobs: Sequence[RemoteJob], options: tuple[Any, ...], workers: int | None
) -> Iterable[dict[str, Any]]:
    """The rows of all photos but those whose worker died."""
    resources = ray.cluster_resources()  # of the machines that are there now
    kind = "GPU" if resources.get("GPU") else "CPU"
    blocks = min(len(jobs), _MOST_BLOCKS)
    rows = ray.data.from_items([job._asdict() for job in jobs], override_num_blocks=blocks)
    pool = ray.data.ActorPoolStrategy(
        size=workers or int(resources[kind]),
        max_tasks_in_flight_per_actor=1,  # no photo waits behind one that kills its worker
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # max_task_retries goes in Ray 2.64, without a successor
        return rows.map(
            Worker,
            fn_constructor_args=options,
            compute=pool,
            max_task_retries=0,  # Ray would try for ever
            **{f"num_{kind.lower()}s": 1},
        ).iter_rows()


class Worker:
    """One process of the cluster, with the restorer loaded; the arguments are `restore_on_cluster`'s."""

    def __init__(self, weights: str, options: Options) -> None:
        keep_freed_memory()
        self.restorer, self.options = load(weights), options

    def __call__(self, job: dict[str, str]) -> dict[str, Any]:
        """The row of one photo, which holds what `Result` does; whatever goes wrong is in it."""
        photo, result = job["photo"], job["result"]
        try:
            with TemporaryDirectory() as folder:
                return self.restore(photo, result, Path(folder))._asdict() | job
        except Exception as problem:  # stores of all kinds fail in ways of their own
            kind = "" if isinstance(problem, DinoIRError) else f"{type(problem).__name__}: "
            words = " ".join(f"{kind}{problem}".split())
            return Result(photo, result, "failed", words)._asdict()

    def restore(self, photo: str, result: str, folder: Path) -> Result:
        """Restore one photo; what lies elsewhere is fetched first, and brought there afterwards."""
        job = Job(
            _fetch(photo, folder) if "://" in photo else Path(photo),
            folder / f"restored{Path(result).suffix}" if "://" in result else Path(result),
            replaces=True,
        )
        (row,) = restore_files(self.restorer, [job], self.options)
        if row.status in ("restored", "degraded", "kept") and "://" in result:
            _deliver(job.result, result)
        message = row.message.replace(str(job.photo), photo).replace(str(job.result), result)
        return row._replace(message=message)


def _connect(address: str | None) -> Any:
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError:
        raise DinoIRError("Ray is not installed: pip install 'dino-ir[ray]'") from None
    if not ray.is_initialized():
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError) as problem:
            raise DinoIRError(f"no Ray cluster at {address}: {problem}") from None
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what fails becomes a row
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # go on
    return ray


def _find(path: str, out: str) -> Iterator[tuple[str, str]]:
    """The photos at a path, without those in a folder `out` below it; and the names they keep there."""
    files, place = _open(path)
    if any(letter in place for letter in "*?[") and not files.exists(place):
        root = posixpath.dirname(place[: min(map(place.find, (c for c in "*?[" if c in place)))])
        found = [file for file in files.glob(place) if not files.isdir(file)]
    elif files.isdir(place):
        root, found = place, files.find(place)
    else:
        yield _shown(files, place), posixpath.basename(place)
        return
    names = {posixpath.relpath(file, root): _shown(files, file) for file in found}
    is_below = out.startswith(f"{_shown(files, root).rstrip('/')}/")
    photos = [name for name in sorted(names) if _is_photo(name)]
    photos = [name for name in photos if not (is_below and names[name].startswith(f"{out}/"))]
    if not photos:
        raise DataError(f"{path} holds no photos")
    for name in photos:
        yield names[name], name


def _listed(path: str) -> tuple[str, str]:
    """A photo that a list names, and its whole way, which is the name it keeps."""
    files, place = _open(path)
    return _shown(files, place), place.lstrip("/")


def _is_photo(name: str) -> bool:
    return name.lower().endswith(KNOWN_SUFFIXES) and "/." not in f"/{name}"


def _open(url: str) -> tuple[Any, str]:
    """The file system a path or URL is of, and its place there."""
    try:
        from fsspec.core import url_to_fs

        return url_to_fs(url if "://" in url else os.path.abspath(url))
    except (ImportError, ValueError) as problem:
        raise DataError(f"{url}: {problem}") from None


def _shown(files: Any, place: str) -> str:
    """A path where the files are this machine's, else a URL."""
    return place if "file" in files.protocol else str(files.unstrip_protocol(place))


def _fetch(url: str, folder: Path) -> Path:
    files, place = _open(url)
    path = folder / f"photo{Path(place).suffix}"
    files.get_file(place, str(path))
    return path


def _deliver(path: Path, url: str) -> None:
    """Copy a file to where it belongs, whole or not at all as far as that store knows how to."""
    files, place = _open(url)
    files.makedirs(posixpath.dirname(place), exist_ok=True)
    with files.transaction, path.open("rb") as source, files.open(place, "wb") as target:
        shutil.copyfileobj(source, target)
