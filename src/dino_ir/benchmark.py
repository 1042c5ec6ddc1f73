"""Photos to score a restorer on, the damage each of them gets, and how scores are taken.

A benchmark is a TOML file: `title`, `task`, `seed`, a `dataset` table and, where the dataset has clean
photos only, a `degradation` table; `protocol`, the name of one or a table; and what is known of the pictures:
`source`, `terms`, `images` (their number), `shared` (with which sets that restorers are trained on) and
`note`. The ones that come with the package are in `benchmarks/`.
"""

import hashlib
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from torch import Tensor

from dino_ir.catalog import build
from dino_ir.contracts import Dataset, Degradation, Parameters
from dino_ir.degradations.chain import Chain
from dino_ir.degradations.choice import Choice
from dino_ir.degradations.gaussian_noise import GaussianNoise
from dino_ir.errors import DataError, RecipeError
from dino_ir.ops.color import to_float
from dino_ir.ops.random import seeded
from dino_ir.protocol import OURS, Protocol, build_protocol, read_protocol
from dino_ir.reported import reported_names, spell_out

__all__ = ["Benchmark", "benchmark_names", "read_available", "read_benchmark", "read_benchmarks", "with_root"]

_SHIPPED = Path(__file__).parent / "benchmarks"
_KEYS: dict[str, Any] = {
    **dict.fromkeys(("title", "task", "source", "terms", "shared", "note"), str),
    **dict.fromkeys(("seed", "images"), int),
    **dict.fromkeys(("dataset", "degradation"), dict),
    "protocol": (str, dict),
}


@dataclass(frozen=True)
class Benchmark:
    """Photos, the damage each of them gets, and how restored ones are compared with the clean ones.

    Attributes:
        title: what tables call it.
        degradation: None where the dataset has degraded photos; `seed` is that of its draws.
        expected: how many photos were published; None where nobody says.
        shared: with which sets that restorers are trained on; "" if with none that is known.
        note: what a reader of its scores should know.
        digest: of the file it was read from and of the protocol.
        is_shipped: whether that file is the package's.
    """

    title: str
    task: str
    dataset: Dataset
    degradation: Degradation | None = None
    seed: int = 0
    protocol: Protocol = OURS
    expected: int | None = None
    shared: str = ""
    note: str = ""
    digest: str = ""
    is_shipped: bool = False
    _states: dict[int, Any] = field(default_factory=dict[int, Any], compare=False, repr=False)

    def images(self, index: int) -> tuple[str, Tensor, Tensor]:
        """The name of image `index`, and it degraded and clean, as floats; cut as the protocol says.

        The damage depends on the seed and the index alone; by some protocols, on the photos before it too.

        Raises:
            DataError: the dataset has no degraded image, and the benchmark has no degradation.
            ImageError: the image is too small for the protocol.
        """
        name, clean, degraded, depth = self.dataset[index]
        clean = self.protocol.cut(to_float(clean))
        if self._sigma is not None:
            return name, self.protocol.add_noise(clean, self._sigma, self._generator(index)), clean
        if self.degradation is not None:
            parameters = self.degradation.draw(seeded(self.seed, index))
            depths = None if depth is None else self.protocol.cut(depth)[None]
            return name, self.degradation.apply(clean[None], [parameters], depths)[0], clean
        if degraded is None:
            raise DataError(f"{name} has no degraded image, and {self.title!r} has no degradation")
        return name, self.protocol.cut(to_float(degraded)), clean

    def picture(self, index: int) -> str:
        """A digest of image `index` as the dataset has it: of its name and its pixels."""
        name, *tensors = self.dataset[index]
        total = hashlib.blake2b(name.encode(), digest_size=8)
        for tensor in tensors:
            total.update(b"" if tensor is None else tensor.contiguous().numpy().tobytes())
        return total.hexdigest()

    def damage(self, index: int) -> list[tuple[Degradation, Parameters]]:
        """What image `index` suffers, one degradation after the other; empty if the dataset has it so.

        Where the protocol draws the noise, its parameters are the sigma alone.
        """
        if self.degradation is None:
            return []
        if self._sigma is not None:
            return [(self.degradation, {"sigma": self._sigma})]
        return list(_parts(self.degradation, self.degradation.draw(seeded(self.seed, index))))

    @property
    def _sigma(self) -> float | None:
        """Of the noise that the protocol draws; None where it draws none."""
        noise = self.degradation
        if self.protocol.noise == "own" or not isinstance(noise, GaussianNoise) or noise.levels is not None:
            return None
        return None if isinstance(noise.sigma, Sequence) else noise.sigma

    def _generator(self, index: int) -> np.random.RandomState:
        """NumPy's generator, as it is when noise for image `index` is drawn."""
        rng = np.random.RandomState(0)
        if self.protocol.noise_seed == "each" or index == 0:
            return rng
        known = max((each for each in self._states if each <= index), default=0)
        rng.set_state(self._states.get(known, rng.get_state()))
        for earlier in range(known, index):
            rng.standard_normal(self.protocol.cut(self.dataset[earlier].clean).numel())
            self._states[earlier + 1] = rng.get_state()
        return rng


def benchmark_names() -> list[str]:
    """The benchmarks that come with the package, in alphabetical order."""
    return sorted(path.stem for path in _SHIPPED.glob("*.toml"))


def read_benchmark(
    name_or_path: str | Path, data: Path | None = None, protocol: str | Path | None = None
) -> Benchmark:
    """Read a benchmark that comes with the package, or one from a TOML file.

    Args:
        name_or_path: one of `benchmark_names()`, or a file that ends in `.toml`.
        data: see `with_root`.
        protocol: in place of the benchmark's; as in `protocol.read_protocol`.

    Raises:
        RecipeError: no such benchmark or protocol, or one with a key or a part that is wrong.
        DataError: the folder of pictures is missing; the message says where they are from.
    """
    path = _find(name_or_path)
    content = path.read_bytes()
    try:
        table = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise RecipeError(f"{path} is not TOML: {problem}") from None
    _check(table, path)
    named = table.get("protocol", {}) if protocol is None else protocol
    chosen = build_protocol(named, path) if isinstance(named, dict) else read_protocol(named)
    return Benchmark(
        title=table["title"],
        task=table["task"],
        dataset=_dataset(table, data),
        degradation=build("degradations", table["degradation"]) if "degradation" in table else None,
        seed=table.get("seed", 0),
        protocol=chosen,
        expected=table.get("images"),
        shared=table.get("shared", ""),
        note=table.get("note", ""),
        digest=hashlib.sha256(content + repr(chosen).encode()).hexdigest(),
        is_shipped=path.resolve().parent == _SHIPPED.resolve(),
    )


def read_benchmarks(
    names: Sequence[str | Path], data: Path | None = None, protocol: str | Path | None = None
) -> dict[str, Benchmark]:
    """Read benchmarks, by the names of their files without `.toml`; one that is named twice is read once.

    Args:
        names: each as in `read_benchmark`; a table's, as in `reported.reported_names`, stands for all of its.
        data: see `with_root`.
        protocol: in place of the benchmarks' own.

    Raises:
        RecipeError: as `read_benchmark`, or two files of one name or title: tables could not tell them apart.
        DataError: a folder of pictures is missing.
    """
    read: dict[str, Benchmark] = {}
    titled: dict[str, Path] = {}
    found = map(_find, spell_out(names, benchmark_names()))
    for path in {path.resolve(): path for path in found}.values():
        if path.stem in read:
            raise RecipeError(f"two benchmarks have the name {path.stem!r}: rename {path}")
        benchmark = read[path.stem] = read_benchmark(path, data, protocol)
        other = titled.setdefault(benchmark.title, path)
        if other is not path:
            raise RecipeError(f"{other} and {path} have one title, {benchmark.title!r}: change one")
    return read


def read_available(
    data: Path | None = None, protocol: str | Path | None = None
) -> tuple[dict[str, Benchmark], dict[str, str]]:
    """Read the package's benchmarks whose pictures are there, and learn where others' are from, by name.

    Raises:
        DataError: there is no data folder, or it has no benchmark's pictures.
    """
    folder = _data_folder(data)
    here: dict[str, Benchmark] = {}
    missing: dict[str, str] = {}
    for name in benchmark_names():
        try:
            here[name] = read_benchmark(name, folder, protocol)
        except DataError as problem:
            card = tomllib.loads(_find(name).read_text(encoding="utf-8"))
            missing[name] = card.get("source", str(problem))
    if not here:
        raise DataError(f"{folder} has the pictures of no benchmark; name one to see what it needs")
    return here, missing


def with_root(table: Mapping[str, Any], data: Path | None = None) -> dict[str, Any]:
    """Put the data folder before every relative `root` in a dataset's table and the tables inside it.

    Args:
        table: a dataset as a recipe or a benchmark writes it; it stays as it is.
        data: the data folder; None means the environment's DINO_IR_DATA.

    Raises:
        RecipeError: a root is not the text of a path.
        DataError: a root is relative and there is no data folder.
    """

    def complete(key: str, value: Any) -> Any:
        if key == "root":
            if not isinstance(value, str):
                raise RecipeError(f'expected the text of a path as root, got {value!r}; write root = "DIR"')
            return value if Path(value).is_absolute() else str(_data_folder(data) / value)
        if isinstance(value, Mapping):
            return with_root(cast(Mapping[str, Any], value), data)
        is_list = isinstance(value, list)
        return [complete("", one) for one in cast(list[Any], value)] if is_list else value

    return {key: complete(key, value) for key, value in table.items()}


def _parts(degradation: Degradation, parameters: Parameters) -> Iterator[tuple[Degradation, Parameters]]:
    """Look into degradations that are made of others, for those that do damage themselves."""
    if isinstance(degradation, Chain):
        for part, each in zip(degradation.degradations, parameters["parts"]):
            yield from _parts(part, each)
    elif isinstance(degradation, Choice):
        yield from _parts(degradation.degradations[parameters["choice"]], parameters["part"])
    else:
        yield degradation, parameters


def _find(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = _SHIPPED / f"{name_or_path}.toml"
    if not path.is_file():
        known = f"{', '.join(benchmark_names())}; for all of a table: {', '.join(reported_names())}"
        raise RecipeError(f"no benchmark {str(name_or_path)!r}; there are: {known}")
    return path


def _check(table: Mapping[str, Any], path: Path) -> None:
    for key, value in table.items():
        if key not in _KEYS:
            raise RecipeError(f"{path}: unknown key {key!r}; there are: {', '.join(_KEYS)}")
        if not isinstance(value, _KEYS[key]):
            kind = getattr(_KEYS[key], "__name__", "name or a table")
            raise RecipeError(f"{path}: {key} must be a {kind}, got {value!r}")
    for key in ("dataset", "task", "title"):
        if key not in table:
            raise RecipeError(f"{path}: {key} is missing")


def _dataset(table: Mapping[str, Any], data: Path | None) -> Dataset:
    completed = with_root(table["dataset"], data)
    try:
        return build("datasets", completed)
    except DataError as problem:
        source = table.get("source", "")
        if not source or source in str(problem):
            raise
        root = completed.get("root", "the data folder")
        raise DataError(f"{problem}; the pictures are from {source} and go to {root}") from None


def _data_folder(data: Path | None) -> Path:
    named = str(data or os.environ.get("DINO_IR_DATA", ""))
    if not named:
        raise DataError("no data folder: give --data DIR or set DINO_IR_DATA")
    folder = Path(named)
    if not folder.is_dir():
        raise DataError(f"no folder {folder}: give --data DIR or set DINO_IR_DATA")
    return folder
