"""A training run at one step: what is learned, and everything that decides the next step."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dino_ir.contracts import Batch, Learner
from dino_ir.errors import TrainingError
from dino_ir.recipe import Recipe

__all__ = ["State"]


class State:
    """A learner, its optimizer and its averaged weights, at a step."""

    def __init__(self, recipe: Recipe, learner: Learner) -> None:
        self.recipe, self.learner, self.step = recipe, learner, 0
        self.parameters = {name: p for name, p in learner.named_parameters() if p.requires_grad}
        self.average = {name: p.detach().clone() for name, p in self.parameters.items()}
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
        self.optimizer = kind(
            self.parameters.values(),
            lr=0.0,
            betas=(recipe.betas[0], recipe.betas[1]),
            weight_decay=recipe.weight_decay,
            fused=True,
        )

    def advance(self, batch: Batch, device: str) -> dict[str, float]:
        """Take one step; return its losses and readings by name.

        Raises:
            TrainingError: the loss or its gradient is not finite; no weight was changed.
        """
        phase, local = self.recipe.place(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = phase.lr_at(local)
        batch = _move(batch, device)
        with torch.autocast(
            torch.device(device).type, torch.bfloat16, enabled=self.recipe.precision == "bf16"
        ):
            losses = self.learner.losses(batch, self.step)
        total = torch.stack(list(losses.values())).sum()
        self._expect_finite("loss", total, losses)
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters.values(), self.recipe.clip)
        self._expect_finite("gradient", norm, losses)  # a step along it would leave no weight a number
        self.optimizer.step()
        self.learner.after_step(self.step, self.recipe.steps)
        self._move_average()
        self.step += 1
        values = {name: value.item() for name, value in losses.items()}
        return {**values, "gradient": norm.item(), "lr": phase.lr_at(local), **self.learner.readings()}

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
        """All that `resume` needs."""
        return {
            "step": self.step,
            "recipe": asdict(self.recipe),
            "learner": self.learner.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
        }

    def resume(self, saved: dict[str, Any], source: Path) -> None:
        """Go on from what `dump` gave.

        Raises:
            TrainingError: it was another recipe's run.
        """
        recipe = asdict(self.recipe)
        changed = [name for name in recipe if recipe[name] != saved["recipe"].get(name)]
        if changed:
            raise TrainingError(
                f"{source} is of a run with another {', '.join(changed)}: "
                "choose another folder with -o, or delete it"
            )
        self.step = saved["step"]
        self.learner.load_state_dict(saved["learner"])
        self.optimizer.load_state_dict(saved["optimizer"])
        _copy(saved["average"], self.average)

    def _expect_finite(self, name: str, value: Tensor, losses: Mapping[str, Tensor]) -> None:
        if not bool(value.isfinite()):
            named = ", ".join(f"{name} {loss.item():g}" for name, loss in losses.items())
            raise TrainingError(
                f"step {self.step}: the {name} is not finite ({named}); the last checkpoint is kept"
            )

    def _move_average(self) -> None:
        # A young run has no history worth keeping, so the average starts short and grows.
        keep = min(self.recipe.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                self.average[name].lerp_(parameter, 1 - keep)


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
