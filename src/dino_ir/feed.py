"""From datasets to training batches: draw, cut, flip, degrade."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from dino_ir.contracts import Batch, Dataset, Degradation, Pair, Parameters
from dino_ir.errors import DataError
from dino_ir.ops.color import to_float
from dino_ir.ops.random import seeded
from dino_ir.ops.resample import resize
from dino_ir.processes import rows_of_this
from dino_ir.recipe import Phase, Recipe

__all__ = ["Sample", "Source", "Stream", "assemble", "steps_from"]


@dataclass(frozen=True)
class Source:
    """Where samples come from, how they are damaged, and how often this source is drawn."""

    dataset: Dataset
    degradation: Degradation | None = None
    weight: float = 1.0

    def expect_damage(self, pair: Pair) -> None:
        """See to it that a pair of the dataset is damaged already, or going to be.

        Raises:
            DataError: the photo is clean, and there is no degradation.
        """
        if self.degradation is None and pair.degraded is None:
            raise DataError(f"{self.dataset} has clean photos only: give its [[data]] a degradation")


class Sample(NamedTuple):
    """One region of a photo, and all that is needed to damage and to cut it."""

    clean: Tensor  # [3, R, R]
    degraded: Tensor | None  # [3, R, R], where the dataset has it
    depth: Tensor | None  # [1, R, R]
    source: int
    parameters: Parameters | None  # the drawn damage
    boxes: list[tuple[int, int, int]]  # top, left, side of each crop, in pixels of the region
    crop: int  # side that crops are brought to


@dataclass(frozen=True)
class Stream(TorchDataset[Sample]):
    """The samples of one run. Sample i depends on the seed and on i alone.

    So there are no epochs, the number of workers changes nothing, and a run resumes by starting at a
    later i.
    """

    sources: Sequence[Source]
    recipe: Recipe

    def __getitem__(self, index: tuple[int, int]) -> Sample:
        """The sample of a (step, place in the batch)."""
        step, row = index
        phase, _ = self.recipe.place(step)
        rng = seeded(self.recipe.seed, step, row)
        weights = torch.tensor([float(source.weight) for source in self.sources])
        number = int(torch.multinomial(weights, 1, generator=rng))
        source = self.sources[number]
        pair = source.dataset[_randint(0, len(source.dataset) - 1, rng)]
        source.expect_damage(pair)
        clean, degraded, depth = _cut_region(pair, phase, rng)
        return Sample(
            clean=clean,
            degraded=degraded,
            depth=depth,
            source=number,
            parameters=source.degradation.draw(rng) if source.degradation else None,
            boxes=[_draw_box(clean.shape[-1], phase, rng) for _ in range(phase.crops)],
            crop=phase.crop,
        )


def steps_from(recipe: Recipe, first: int) -> Iterator[list[tuple[int, int]]]:
    """The indices of each remaining step's samples: what a data loader takes as its batch sampler.

    On several processes, those of this one's share.
    """
    for step in range(first, recipe.steps):
        phase, _ = recipe.place(step)
        yield [(step, row) for row in rows_of_this(phase.batch)]


def assemble(
    samples: Sequence[Sample], sources: Sequence[Source], thumbnail: int | None, device: str = "cpu"
) -> Batch:
    """Damage the samples and cut their crops.

    On a CPU, photos are damaged one at a time, which its caches like; on a GPU, all that share a
    source and a size go together. Both give the same pictures.

    Args:
        samples: P photos of the stream.
        sources: the stream's.
        thumbnail: side of the degraded photos' thumbnails; None makes none.
        device: where the work is done.
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for row, sample in enumerate(samples):
        key = (row,) if device == "cpu" else (-1, sample.source, sample.clean.shape[-1])
        groups.setdefault(key, []).append(row)
    photos: dict[int, tuple[Tensor, Tensor]] = {}
    for rows in groups.values():
        group = [samples[row] for row in rows]
        clean, degraded = _degrade(group, sources[group[0].source], device)
        photos |= {row: (degraded[i], clean[i]) for i, row in enumerate(rows)}

    degraded, clean = (
        torch.cat([_cut(photos[row][side], sample) for row, sample in enumerate(samples)]) for side in (0, 1)
    )
    if thumbnail is None:
        return Batch(degraded, clean)
    size = (thumbnail, thumbnail)
    photo = torch.cat([resize(photos[row][0][None], size) for row in range(len(samples))])
    box = torch.tensor([_fractions(box, sample) for sample in samples for box in sample.boxes], device=device)
    return Batch(degraded, clean, photo, box)


def _degrade(group: Sequence[Sample], source: Source, device: str) -> tuple[Tensor, Tensor]:
    """The clean and the degraded regions of samples of one source and size, [N, 3, R, R] each."""
    clean = to_float(_stack([sample.clean for sample in group], device))
    if source.degradation is None:
        given = [sample.degraded for sample in group if sample.degraded is not None]
        return clean, to_float(_stack(given, device))
    depths = [sample.depth for sample in group if sample.depth is not None]
    depth = _stack(depths, device) if depths else None
    parameters = [sample.parameters for sample in group if sample.parameters is not None]
    return clean, source.degradation.apply(clean, parameters, depth)


def _stack(pictures: Sequence[Tensor], device: str) -> Tensor:
    """Stack on the device; from pinned memory, copies overlap with what the device computes."""
    return torch.stack([picture.to(device, non_blocking=True) for picture in pictures])


def _cut_region(
    pair: Pair, phase: Phase, rng: torch.Generator
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The same random square of all of a pair's pictures, in one of the eight symmetries of the square."""
    height, width = pair.clean.shape[-2:]
    low, high = phase.region_range
    if min(height, width) < phase.smallest_cut:
        need = f"{phase.smallest_cut}x{phase.smallest_cut}"
        raise DataError(f"{pair.name} is {width}x{height}, too small to cut {need} from")
    side = min(_randint(low, high, rng), height, width)
    top, left = _randint(0, height - side, rng), _randint(0, width - side, rng)
    turns, mirrored = _randint(0, 3, rng), _randint(0, 1, rng)

    def cut(picture: Tensor | None) -> Tensor | None:
        if picture is None:
            return None
        square = picture[..., top : top + side, left : left + side].rot90(turns, dims=(-2, -1))
        return (square.flip(-1) if mirrored else square).contiguous()

    clean = cut(pair.clean)
    assert clean is not None
    return clean, cut(pair.degraded), cut(pair.depth)


def _draw_box(region: int, phase: Phase, rng: torch.Generator) -> tuple[int, int, int]:
    low, high = phase.zoom or (phase.crop, phase.crop)
    side = _randint(min(low, region), min(high, region), rng)
    return _randint(0, region - side, rng), _randint(0, region - side, rng), side


def _cut(photo: Tensor, sample: Sample) -> Tensor:
    """The crops of one photo, [crops, 3, crop, crop]."""
    pieces = [photo[:, top : top + side, left : left + side] for top, left, side in sample.boxes]
    return torch.cat([resize(piece[None], (sample.crop, sample.crop)) for piece in pieces])


def _fractions(box: tuple[int, int, int], sample: Sample) -> list[float]:
    top, left, side = box
    return [edge / sample.clean.shape[-1] for edge in (top, left, top + side, left + side)]


def _randint(low: int, high: int, rng: torch.Generator) -> int:
    """A random whole number from `low` to `high`, both included."""
    return int(torch.randint(low, high + 1, (), generator=rng))
