"""A training run at one step: what is learned, and everything that decides the next step."""

import math
import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dino_ir.contracts import Batch, Learner, Prior
from dino_ir.errors import TrainingError
from dino_ir.optimizers import build_optimizers, freeze_all_but
from dino_ir.processes import mean_over_processes, number_of_processes
from dino_ir.recipe import Recipe

__all__ = ["State"]


class State:
    """A learner, its optimizer and its averaged weights, at a step.

    On several processes each has one, with the same numbers in it.

    Raises:
        RecipeError: the learner has no part of a name that the recipe wants to learn.
        TrainingError: there are several processes, and the learner's loss needs whole batches.
    """

    def __init__(self, recipe: Recipe, learner: Learner) -> None:
        self.recipe, self.learner, self.step = recipe, learner, 0
        if recipe.learns:
            freeze_all_but(learner, recipe.learns)
        self.parameters = {name: p for name, p in learner.named_parameters() if p.requires_grad}
        self.average = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.optimizers = build_optimizers(
            recipe.optimizer, self.parameters.values(), recipe.betas, recipe.weight_decay
        )
        self._losses = _shared(learner)

    def advance(self, batch: Batch, device: str) -> dict[str, float]:
        """Take one step; return its losses and readings by name.

        On several processes, `batch` is this one's share. Losses are means over all, readings this one's.

        Raises:
            TrainingError: the loss or its gradient is not finite; no weight was changed.
        """
        phase, local = self.recipe.place(self.step)
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = phase.lr_at(local)
        batch = _move(batch, device)
        with torch.autocast(
            torch.device(device).type, torch.bfloat16, enabled=self.recipe.precision == "bf16"
        ):
            losses = self._losses(batch, self.step)
        terms = torch.stack(list(losses.values()))
        self.learner.zero_grad(set_to_none=True)
        terms.sum().backward()
        values = dict(zip(losses, mean_over_processes(terms.detach()).tolist()))
        self._expect_finite("loss", sum(values.values()), values)
        norm = nn.utils.clip_grad_norm_(self.parameters.values(), self.recipe.clip).item()
        self._expect_finite("gradient", norm, values)  # a step along it would leave no weight a number
        for optimizer in self.optimizers:
            optimizer.step()
        self.learner.after_step(self.step, self.recipe.steps)
        self._move_average()
        self.step += 1
        return {**values, "gradient": norm, "lr": phase.lr_at(local), **self.learner.readings()}

    @contextmanager
    def averaged(self) -> Generator[None]:
        """The learner with the averaged weights in place, in eval mode; both are put back."""
        kept = {name: p.detach().clone() for name, p in self.parameters.items()}
        _copy(self.average, self.parameters)
        self.learner.eval()
        try:
            yield
        finally:
            _copy(kept, self.parameters)
            self.learner.train()

    def dump(self) -> dict[str, Any]:
        """All that `resume` needs; priors with published weights are in files of their own."""
        state, frozen = self.learner.state_dict(), self._frozen()
        return {
            "step": self.step,
            "recipe": asdict(self.recipe),
            "learner": {key: value for key, value in state.items() if key not in frozen},
            "average": self.average,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }

    def resume(self, saved: dict[str, Any], source: Path) -> None:
        """Go on from what `dump` gave.

        Raises:
            TrainingError: it was another recipe's run.
        """
        if changed := self.recipe.changes_since(saved["recipe"]):
            raise TrainingError(
                f"{source} is of a run with another {', '.join(changed)}: "
                "choose another folder with -o, or delete it"
            )
        self.step = saved["step"]
        learner = self.learner.state_dict()
        self.learner.load_state_dict({key: learner[key] for key in self._frozen()} | saved["learner"])
        for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        _copy(saved["average"], self.average)

    def _frozen(self) -> set[str]:
        """Names of what the priors that have files of their own hold."""
        parts = self.learner.named_modules()
        priors = {f"{name}." for name, part in parts if isinstance(part, Prior) and part.pretrained}
        return {key for key in self.learner.state_dict() if key.startswith(tuple(priors))}

    def _expect_finite(self, name: str, value: float, losses: Mapping[str, float]) -> None:
        if not math.isfinite(value):
            named = ", ".join(f"{name} {loss:g}" for name, loss in losses.items())
            raise TrainingError(
                f"step {self.step}: the {name} is not finite ({named}); the last checkpoint is kept"
            )

    def _move_average(self) -> None:
        # A young run has no history worth keeping, so the average starts short and grows.
        keep = min(self.recipe.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                self.average[name].lerp_(parameter, 1 - keep)


class _Losses(nn.Module):
    """A learner whose call is its losses, which is what torch's wrapper for several processes expects."""

    def __init__(self, learner: Learner) -> None:
        super().__init__()
        self.learner = learner

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        return self.learner.losses(batch, step)


def _shared(learner: Learner) -> Callable[[Batch, int], dict[str, Tensor]]:
    """The learner's losses; on several processes, their gradients are averaged as they are made."""
    if number_of_processes() == 1:
        return learner.losses
    if not learner.splits_batches:
        raise TrainingError(
            f"{type(learner).__name__} needs whole batches: train it on one process, without torchrun"
        )
    module = _Losses(learner)
    frozen = {name for name, part in module.named_modules() if isinstance(part, Prior)}
    ignored = [key for key in module.state_dict() if any(key.startswith(f"{name}.") for name in frozen)]
    # Its name has an underscore, but torch's own guide leaves parameters out by it.
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(module, ignored)  # pyright: ignore
    # Kernels of one pixel or one channel lie alike in both memory formats, and their gradients come with the
    # strides of the one or the other, layer by layer. Nothing is slower for it, but torch cannot know that.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    return DistributedDataParallel(module)


def _move(batch: Batch, device: str) -> Batch:
    """Images to a device, channels last, which convolutions are fastest in."""
    images = [
        part if part is None else part.to(device, memory_format=torch.channels_last) for part in batch[:3]
    ]
    degraded, clean, photo = images
    assert degraded is not None
    assert clean is not None
    return Batch(degraded, clean, photo, None if batch.box is None else batch.box.to(device))


def _copy(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, tensor in target.items():
            tensor.copy_(source[name])
