"""How well a restorer does while it learns: a few photos of each benchmark, scored and shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from torch import Tensor, nn

from dino_ir.benchmark import Benchmark, read_benchmarks
from dino_ir.contracts import Restorer
from dino_ir.files.images import Photo, write_photo
from dino_ir.inference import restore
from dino_ir.metrics.psnr import PSNR
from dino_ir.ops.color import round_to_8_bits
from dino_ir.ops.sheet import sheet

__all__ = ["Validation"]


@dataclass(frozen=True)
class Validation:
    """Scores the product of a run on benchmarks, and leaves a sheet of pictures in its folder.

    Attributes:
        benchmarks: by name, each with how many of its photos are used, from the first.
        folder: the run's.
    """

    benchmarks: Mapping[str, tuple[Benchmark, int]]
    folder: Path

    @classmethod
    def read(cls, tables: Sequence[Mapping[str, Any]], data: Path | None, folder: Path) -> "Validation":
        """Build the `[[validation]]` tables of a recipe: `benchmark` and, as wanted, `limit`.

        Args:
            tables: as `Recipe` has checked them.
            data: see `benchmark.with_root`.
            folder: the run's.

        Raises:
            RecipeError, DataError: a benchmark is wrong, or its photos are missing.
        """
        read = read_benchmarks([table["benchmark"] for table in tables], data)
        limits = {Path(table["benchmark"]).stem: table.get("limit") for table in tables}
        counts = {name: len(benchmark.dataset) for name, benchmark in read.items()}
        return cls(
            {name: (read[name], min(limits.get(name) or counts[name], counts[name])) for name in read}, folder
        )

    def __call__(self, product: nn.Module, step: int) -> dict[str, float]:
        """The mean PSNR of each benchmark, by name, and of each task: the mean over its benchmarks.

        Empty for a product that restores nothing.
        """
        if not isinstance(product, Restorer) or not self.benchmarks:
            return {}
        scores: dict[str, float] = {}
        of_task: dict[str, list[float]] = {}
        rows: list[list[Tensor]] = []
        for name, (benchmark, limit) in self.benchmarks.items():
            triples = [_restored(product, benchmark, index) for index in range(limit)]
            scores[f"psnr_{name}"] = fmean(
                float(PSNR()(triple[1][None], triple[2][None])) for triple in triples
            )
            of_task.setdefault(f"psnr_{benchmark.task}", []).append(scores[f"psnr_{name}"])
            rows.append(triples[0])
        picture = sheet(rows, labels=["degraded", "restored", "clean"])
        write_photo(self.folder / f"step_{step:07d}.jpg", Photo(picture))
        return {task: fmean(each) for task, each in of_task.items()} | scores


def _restored(restorer: Restorer, benchmark: Benchmark, index: int) -> list[Tensor]:
    """One photo [3, H, W] degraded, restored and clean, on the CPU."""
    _name, degraded, clean = benchmark.images(index)
    device = next(restorer.parameters()).device
    restored = restore(restorer, degraded[None].to(device), tile="off")[0].cpu()
    return [degraded, round_to_8_bits(restored), clean]
