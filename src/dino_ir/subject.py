"""What is scored, and what runs it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from dino_ir.backends import choose_backend, find_precision, use_backend
from dino_ir.catalog import build, read_table
from dino_ir.contracts import Restorer
from dino_ir.errors import DinoIRError
from dino_ir.files.weights import digest, find_weights
from dino_ir.inference import find_device, load
from dino_ir.mirror import Mirrored

__all__ = ["UNSAID", "Subject"]

UNSAID: Mapping[str, str] = MappingProxyType({"backend": "torch", "precision": "float32", "mirrored": "no"})
"""The program of rows that do not name one: torch in float32, each photo as it is."""


@dataclass(frozen=True)
class Subject:
    """What is scored, in words that another process can build it from.

    Attributes:
        weights: as in `inference.load`.
        restorer: instead, a restorer that needs no weights: a name or a table, as in `catalog.read_table`.
        device: as in `inference.find_device`.
        backend, exact: as in `backends.use_backend`; by default torch in float32.
        mirror: whether photos are restored mirrored, too (`mirror.Mirrored`).
    """

    weights: str | Path = "default"
    restorer: str | None = None
    device: str = "auto"
    backend: str = "torch"
    exact: bool = True
    mirror: bool = False

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.restorer or str(self.weights)

    def load(self) -> Restorer:
        """Build the restorer.

        Raises:
            RecipeError, WeightsError, DinoIRError: it cannot be built, or the backend cannot run it.
        """
        if self.restorer is None:
            restorer = use_backend(load(self.weights, self.device), self.backend, self.exact)
            return Mirrored(restorer) if self.mirror else restorer
        classic: Restorer = build("restorers", read_table(self.restorer))
        return classic.to(find_device(self.device)).eval()

    def settled(self, pixels: float) -> "Subject":
        """The same by a backend that is not "auto", so that all processes take one; for so many pixels.

        Raises:
            WeightsError, DinoIRError: it cannot be built, or has no weights, which backends and mirror images
                are for.
        """
        if self.restorer is not None:
            if self.mirror:
                raise DinoIRError(f"mirror images are for weight files: score {self.restorer} without them")
            if self.backend not in ("auto", "torch"):
                raise DinoIRError(
                    f"the backend {self.backend} runs networks of weight files: "
                    f"score {self.restorer} without it, by torch"
                )
            return replace(self, backend="torch", exact=True)
        if self.backend != "auto":
            return self
        return replace(self, backend=choose_backend(load(self.weights, self.device), pixels))

    @property
    def program(self) -> dict[str, str]:
        """What runs it, in which numbers it computes, and whether on mirror images, too."""
        precision = find_precision(self.backend, self.exact, find_device(self.device).type)
        return {"backend": self.backend, "precision": precision, "mirrored": "yes" if self.mirror else "no"}

    @property
    def program_in_words(self) -> str:
        """Empty for torch in float32, each photo as it is."""
        if self.program == UNSAID:
            return ""
        words = "{backend} in {precision}".format(**self.program)
        return words + (", each photo mirrored, too" if self.mirror else "")

    @property
    def digest(self) -> str:
        """Of the weight file, or of the restorer's table and the files it names."""
        if self.restorer is None:
            return digest(find_weights(self.weights))
        table = read_table(self.restorer)
        paths = (Path(each) for each in table.values() if isinstance(each, str))
        files = [digest(path) for path in paths if path.is_file()]
        return hashlib.sha256(json.dumps([table, files], sort_keys=True).encode()).hexdigest()
