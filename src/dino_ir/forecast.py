"""What a step of training will take, found by running it on tensors that have shapes and no numbers."""

import math
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode  # what torch documents for estimates like these
from torch.utils.flop_counter import FlopCounterMode

from dino_ir.catalog import build
from dino_ir.contracts import Batch, Learner, Prior
from dino_ir.errors import WeightsError
from dino_ir.files.weights import find_weights
from dino_ir.ops.room import BytesHeld
from dino_ir.optimizers import freeze_all_but
from dino_ir.recipe import Phase, Recipe

__all__ = ["Forecast", "forecast", "foresee", "matrix_rate", "missing_weights"]


class Forecast(NamedTuple):
    """The most that a step of one phase takes."""

    phase: int
    held: int  # bytes of weights, their average, Adam's moments, and frozen priors
    peak: int  # bytes of what comes and goes beside them, at the moment it is most
    flops: int  # multiplications and additions of matrix products, convolutions and attention

    @property
    def memory(self) -> int:
        """Bytes of both, without what libraries need for themselves."""
        return self.held + self.peak


def foresee(recipe: Recipe, device: str) -> Iterator[str]:
    """Lines on what training a recipe takes on a device: parameters, then memory and time of each phase.

    The time is that of the operations at the speed of large matrix products, measured for a moment: what
    a network does besides and a busy machine make it longer.

    Raises:
        RecipeError: a part of the recipe cannot be built.
    """
    learner = _build(recipe)
    trained, frozen = (
        sum(p.numel() for p in learner.parameters() if p.requires_grad == learns) for learns in (True, False)
    )
    yield f"{trained:,} parameters to train beside {frozen:,} frozen ones, {recipe.steps:,} steps"
    rate, room = matrix_rate(device, recipe.precision), _memory_of(device)
    for each, phase in zip(forecast(recipe), recipe.phase):
        seconds, hours = each.flops / rate, phase.steps * each.flops / rate / 3600
        memory = f"{each.memory / 2**30:.1f} GiB"
        if each.memory >= room:
            memory += f", more than the {room / 2**30:.0f} GiB here"
        teraflops, pace, whole = map(_two_digits, (each.flops / 1e12, seconds, hours))
        yield (
            f"phase.{each.phase}: {memory}; {teraflops} TFLOP a step: from {pace} s here, "
            f"{whole} hours for {phase.steps:,} steps"
        )


def missing_weights(recipe: Recipe) -> list[str]:
    """A sentence for each prior of a recipe whose weights are not on this machine."""
    missing: list[str] = []
    for prior in _build(recipe).modules():
        if isinstance(prior, Prior) and prior.pretrained is not None:
            try:
                find_weights(prior.pretrained)
            except WeightsError as problem:
                missing.append(str(problem))
    return missing


def forecast(recipe: Recipe) -> list[Forecast]:
    """Foresee the dearest step of each phase: forward, backward, with the prior and every loss.

    Nothing is computed and no weights are read, so networks of any size can be asked about. What an
    allocator wastes and libraries keep comes on top.
    """
    learner = _build(recipe).train()
    with FakeTensorMode(allow_non_fake_inputs=True):
        learner.to_empty(device="cpu")
        held = sum(_bytes(p) * (4 if p.requires_grad else 1) for p in learner.parameters())
        return [
            Forecast(number, held, *_step(learner, phase, recipe.precision == "bf16"))
            for number, phase in enumerate(recipe.phase)
        ]


def matrix_rate(device: str, precision: str, seconds: float = 0.2) -> float:
    """How many floating-point operations a second a device does in large matrix products.

    Args:
        device: torch's name for it.
        precision: "bf16" or "fp32".
        seconds: how long to try at least.
    """
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    side = 8192 if device.startswith("cuda") else 1024
    matrix = torch.randn(side, side, device=device, dtype=kind)
    _finish(matrix @ matrix)
    count, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds or not count:
        _finish(matrix @ matrix)
        count += 1
    return 2 * side**3 * count / passed


def _build(recipe: Recipe) -> Learner:
    shelf, table = recipe.subject
    if "contrast" in table:  # the steps that compute it are the dearest
        table = {**table, "contrast": {**table["contrast"], "start": 0, "every": 1}}
    with torch.device("meta"):
        learner = build(shelf, table)
    if recipe.learns:
        freeze_all_but(learner, recipe.learns)
    return learner


def _step(learner: Learner, phase: Phase, is_bf16: bool) -> tuple[int, int]:
    """The peak of memory and the operations of one step."""
    # Torch's own formula takes the channels of grouped convolutions for connected to each other.
    own = {torch.ops.aten.convolution_backward: _convolution_backward}
    ledger, counter = BytesHeld(), FlopCounterMode(display=False, custom_mapping=own)
    batch = _batch(phase, learner.thumbnail)
    with ledger, counter:
        with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
            losses = learner.losses(batch, 0)
        torch.stack(list(losses.values())).sum().backward()
    learner.zero_grad(set_to_none=True)
    images = sum(map(_bytes, (part for part in batch if part is not None)))
    return ledger.peak + images, counter.get_total_flops()


def _batch(phase: Phase, thumbnail: int | None) -> Batch:
    crops = phase.batch * phase.crops
    degraded, clean = (torch.empty(crops, 3, phase.crop, phase.crop) for _ in range(2))
    degraded = degraded.to(memory_format=torch.channels_last)
    if thumbnail is None:
        return Batch(degraded, clean)
    return Batch(degraded, clean, torch.empty(phase.batch, 3, thumbnail, thumbnail), torch.empty(crops, 4))


def _memory_of(device: str) -> float:
    """Bytes of memory that a device has in all; infinite where nobody knows."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_properties(device).total_memory
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no such function
        return math.inf


def _convolution_backward(
    result: Sequence[int],
    image: Sequence[int],
    weight: Sequence[int],
    *rest: Any,
    out_shape: Any = None,
) -> int:
    """As many operations as forward, for the image's gradient and for the weight's, where it is wanted."""
    is_transposed, wanted = rest[4], rest[7][:2]
    return 2 * math.prod(image if is_transposed else result) * math.prod(weight[1:]) * sum(wanted)


def _two_digits(value: float) -> str:
    return f"{float(f'{value:.2g}'):,g}"


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _finish(result: Tensor) -> None:
    """Wait until a device has done what it was told."""
    result[0, 0].item()
