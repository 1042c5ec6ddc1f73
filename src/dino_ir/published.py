"""Published weights by name: where their files are on this machine, and how they get here.

`weights/published.toml` says which file a name stands for. Only `fetch` touches the network.
"""

import hashlib
import os
import re
import tomllib
from pathlib import Path
from typing import NamedTuple

from dino_ir.errors import WeightsError

__all__ = ["PublishedWeights", "fetch", "find_published", "need_published", "published", "verify"]

_LIST = Path(__file__).parent / "weights" / "published.toml"


class PublishedWeights(NamedTuple):
    """Weights that others published, of which the package holds no copy."""

    repository: str  # on huggingface.co
    file: str  # in that repository
    official: str  # the authors' own file of the same weights, as torch.hub keeps it
    licence: str
    parameters: int
    source: str


def published() -> dict[str, PublishedWeights]:
    """The published weights there are, by name."""
    tables = tomllib.loads(_LIST.read_text(encoding="utf-8"))
    return {name: PublishedWeights(**table) for name, table in tables.items()}


def find_published(name: str) -> Path | None:
    """The file of published weights: in the hub's cache, else in torch.hub's folder, else None.

    Raises:
        WeightsError: no such published weights.
    """
    from huggingface_hub import try_to_load_from_cache

    entry = _entry(name)
    cached = try_to_load_from_cache(entry.repository, entry.file)
    if isinstance(cached, str):
        return Path(cached)
    official = _torch_hub() / entry.official
    return official if official.is_file() else None


def need_published(name: str) -> Path:
    """The file that `find_published` finds.

    Raises:
        WeightsError: no such published weights, or they are not on this machine.
    """
    path = find_published(name)
    if path is None:
        raise WeightsError(
            f"{name} is not on this machine: run dino-ir weights fetch {name}, "
            "or name a file by restorer.prior.weights"
        )
    return path


def fetch(name: str) -> Path:
    """Download published weights into the hub's cache, unless they are on this machine already.

    A download that was cut off goes on where it stopped. The file is compared with the size and the
    SHA-256 that the hub states; one that differs is left for the user to remove.

    Raises:
        WeightsError: no such published weights, no way to the hub, or the file is not what it states.
    """
    path = find_published(name)
    if path is None:
        return _download(name)
    if verify(name) is False:
        raise WeightsError(f"{path} is damaged: remove {path.resolve()} and fetch {name} again")
    return path


def verify(name: str) -> bool | None:
    """Whether a file's SHA-256 is the one the hub stated; None for a file that nothing is stated of.

    The hub's cache keeps each file under the SHA-256 stated for it, so this works offline. A file in
    torch.hub's folder, or in a cache without links, comes without a statement.

    Raises:
        WeightsError: no such published weights, or they are not on this machine.
    """
    path = need_published(name)
    # One link deep: the hub's cache may link on from there, to a store that names files otherwise.
    stated = Path(os.readlink(path)).name if path.is_symlink() else ""
    return _digest(path) == stated if re.fullmatch("[0-9a-f]{64}", stated) else None


def _download(name: str) -> Path:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    entry = _entry(name)
    try:
        stated = get_hf_file_metadata(hf_hub_url(entry.repository, entry.file))
        path = Path(hf_hub_download(entry.repository, entry.file))
    except Exception as problem:  # what goes wrong on the way to the hub has no common base
        reason = next(iter(str(problem).splitlines()), type(problem).__name__)
        raise WeightsError(
            f"{name} cannot be fetched ({reason}): put {entry.official} into {_torch_hub()}, "
            "or name a file by restorer.prior.weights=FILE in the recipe"
        ) from None
    if (path.stat().st_size, _digest(path)) != (stated.size, stated.etag):
        raise WeightsError(
            f"{path} is not what the hub states, {stated.size} bytes with the SHA-256 {stated.etag}: "
            f"remove {path.resolve()} and fetch {name} again"
        )
    return path


def _entry(name: str) -> PublishedWeights:
    known = published()
    if name not in known:
        raise WeightsError(f"no published weights {name!r}; there are: {', '.join(known)}")
    return known[name]


def _torch_hub() -> Path:
    """Where torch.hub keeps what it downloads; known here without loading torch."""
    caches = os.getenv("XDG_CACHE_HOME", "~/.cache")
    return Path(os.getenv("TORCH_HOME", f"{caches}/torch"), "hub", "checkpoints").expanduser()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
