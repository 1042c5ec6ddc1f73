"""From a recipe to a weight file. A run cut in two gives the same weights as an uncut one."""

import atexit
import math
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from dino_ir.benchmark import with_root
from dino_ir.catalog import build
from dino_ir.contracts import Batch, Learner, Network
from dino_ir.errors import DinoIRError, TrainingError, WeightsError
from dino_ir.feed import Sample, Source, Stream, assemble, steps_from
from dino_ir.files.checkpoint import read_checkpoint, write_checkpoint
from dino_ir.files.journal import Journal
from dino_ir.files.weights import digest, fill_priors, find_weights, learned, read_weights, write_weights
from dino_ir.ops.allocator import keep_freed_memory
from dino_ir.pace import Clock, Step
from dino_ir.processes import all_have, any_of_them, is_first, joined, number_of_processes
from dino_ir.recipe import Recipe
from dino_ir.run_state import State

__all__ = ["Outcome", "Run", "batches", "build_learner", "build_sources", "start_from", "train"]

CHECKPOINT, WEIGHTS = "checkpoint.pt", "weights.safetensors"


class Outcome(NamedTuple):
    """What a call of `train` left behind."""

    weights: Path  # averaged, as of its last step
    is_done: bool  # False: stopped before the recipe's last step


class Run(NamedTuple):
    """Where and how a recipe is run: what is not part of the experiment itself.

    Attributes:
        folder: checkpoint, log and weights; a run found there is resumed.
        data: what the roots of the recipe's datasets are relative to.
        init: weights to start from, where no run is resumed; what they do not have keeps its random start.
        device: "cpu", "cuda", "cuda:N" or "mps".
        workers: processes that prepare batches; any number gives the same run.
        compiled: compile the network's blocks, each for every size of its input: minutes at the start, and
            the same run but for rounding.
        max_minutes: stop after the step that reaches it; a later call goes on.
        stop: asked after each step; True stops likewise.
        report: called after each step.
        tell: called with a line worth showing, such as how much of `init` fits.
        tensorboard: log for TensorBoard too.
        validate: called with the product at the recipe's intervals, with averaged weights in place;
            what it returns is logged.
    """

    folder: Path
    data: Path | None = None
    init: str | Path | None = None
    device: str = "cpu"
    workers: int = 0
    compiled: bool = False
    max_minutes: float = math.inf
    stop: Callable[[], bool] = lambda: False
    report: Callable[[Step], None] = lambda _: None
    tell: Callable[[str], None] = lambda _: None
    tensorboard: bool = False
    validate: Callable[[nn.Module, int], Mapping[str, float]] = lambda _product, _step: {}


def train(recipe: Recipe, run: Run) -> Outcome:
    """Train what a recipe describes, from the last checkpoint in the run's folder if there is one.

    Under `torchrun`, the processes share each batch, and the first one writes. Any number of them
    gives the same run but for rounding, and may go on with it.

    Raises:
        TrainingError: the loss or its gradient is not finite (the last checkpoint is kept), the
            folder holds another recipe's run, or batches do not divide among the processes.
        DataError, RecipeError, WeightsError: from building what the recipe names.
        DataError, ImageError: a photo cannot be read or cropped, or is clean and stays so.
    """
    with joined(run.device) as device:
        return _train(recipe, run._replace(device=device) if is_first() else _silent(run, device))


def _train(recipe: Recipe, run: Run) -> Outcome:
    _check_shares(recipe)
    # By default, a GPU's convolutions round what is called fp32 to 10 bits.
    torch.backends.cudnn.allow_tf32 = recipe.precision != "fp32"
    state, init = _begin(recipe, run)
    sources = build_sources(recipe, run.data)
    for source in sources:
        if source.degradation is None:
            source.expect_damage(source.dataset[0])
    _advance(state, sources, run, init)
    if is_first():
        with state.averaged():
            table = {**_tables(recipe), "recipe": asdict(recipe), "step": state.step, **init}
            write_weights(run.folder / WEIGHTS, state.learner.product(), table)
    return Outcome(run.folder / WEIGHTS, is_done=state.step == recipe.steps)


def _silent(run: Run, device: str) -> Run:
    """What a process that is not the first one runs: the same steps, nothing said."""
    return Run(run.folder, run.data, run.init, device, run.workers, run.compiled, run.max_minutes, run.stop)


def _check_shares(recipe: Recipe) -> None:
    count = number_of_processes()
    for number, phase in enumerate(recipe.phase):
        if phase.batch % count:
            raise TrainingError(
                f"phase.{number}.batch is {phase.batch}, which does not divide among {count} processes: "
                f"--set phase.{number}.batch={-(-phase.batch // count) * count}"
            )


def _begin(recipe: Recipe, run: Run) -> tuple[State, dict[str, Any]]:
    """A run at its first step or as its checkpoint left it, and what to note of how it began."""
    torch.manual_seed(recipe.seed)
    learner = build_learner(recipe)
    checkpoint = run.folder / CHECKPOINT
    init: dict[str, Any] = {}
    if run.init and not checkpoint.exists():
        fitting, own = start_from(learner.product(), run.init)
        run.tell(f"{fitting} of {own} parameters start from {run.init}")
        init = {"init": {"name": str(run.init), "sha256": digest(find_weights(run.init))}}
    learner.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] torch's stub lacks it
    state = State(recipe, learner.to(run.device).train())
    if run.compiled:
        _compile(learner)
    run.folder.mkdir(parents=True, exist_ok=True)
    if checkpoint.exists():
        saved = read_checkpoint(checkpoint)
        state.resume(saved, checkpoint)
        init = {"init": saved["init"]} if "init" in saved else {}
        if run.init:
            run.tell(f"the run in {run.folder} goes on; {run.init} is not read again")
    if not all_have(state.step, run.device):
        raise TrainingError(
            f"the machines have different checkpoints in {run.folder}: let them share that folder"
        )
    return state, init


def _compile(learner: Learner) -> None:
    # Widths and crop sizes are each compiled for; by default torch gives up after eight.
    torch._dynamo.config.recompile_limit = 64  # pyright: ignore[reportPrivateUsage] documented so
    for part in learner.modules():
        if isinstance(part, Network):
            for block in part.blocks():
                block.compile(dynamic=False)


def _advance(state: State, sources: list[Source], run: Run, init: Mapping[str, Any]) -> None:
    """Step after step until the recipe ends or the run is stopped; checkpoints carry `init` along."""
    recipe = state.recipe
    clock = Clock(recipe, state.step)
    log = closing(Journal(run.folder, state.step, run.tensorboard)) if is_first() else nullcontext()
    with log as journal:
        for batch in batches(recipe, sources, state.step, state.learner.thumbnail, run):
            values = state.advance(batch, run.device)
            run.report(clock.tick(state.step, len(batch.clean) * number_of_processes(), values))
            stopping = any_of_them(run.stop() or clock.seconds > run.max_minutes * 60, run.device)
            if journal is not None:
                scores = _keep(state, run, stopping, init)
                journal.write(state.step, {**values, "seconds": clock.step_seconds, **scores})
            if stopping:
                break


def _keep(state: State, run: Run, stopping: bool, init: Mapping[str, Any]) -> Mapping[str, float]:
    """Write a checkpoint and validate, where it is time to; return the scores."""
    recipe, done = state.recipe, state.step == state.recipe.steps
    if done or stopping or state.step % recipe.save_every == 0:
        write_checkpoint(run.folder / CHECKPOINT, {**state.dump(), **init})
    if not done and state.step % recipe.validate_every:
        return {}
    # Photos have any size, and compiling for each takes longer than restoring it.
    eager = torch.compiler.set_stance("force_eager") if run.compiled else nullcontext()
    with state.averaged(), eager:
        return run.validate(state.learner.product(), state.step)


def batches(
    recipe: Recipe, sources: list[Source], first: int, thumbnail: int | None, run: Run
) -> Iterator[Batch]:
    """The batches of a recipe from a step on; on a GPU the damage is done there.

    Raises:
        DataError, ImageError: a photo cannot be read or cropped.
    """
    on_device = torch.device(run.device).type != "cpu"
    finish = partial(assemble, sources=sources, thumbnail=thumbnail)
    loader = DataLoader(
        _Loads(Stream(sources, recipe), list if on_device else finish),
        batch_size=None,
        sampler=steps_from(recipe, first),
        num_workers=run.workers,
        collate_fn=_as_it_is,
        # libvips keeps threads, and a forked process would wait for threads that it does not have.
        multiprocessing_context="spawn" if run.workers else None,
        prefetch_factor=4 if run.workers else None,
        pin_memory=torch.device(run.device).type == "cuda",
        worker_init_fn=_start_worker,
    )
    if run.workers:
        atexit.register(_end_workers)
    for load in loader:
        if any_of_them(isinstance(load, DinoIRError), run.device):  # all leave together
            raise load if isinstance(load, DinoIRError) else TrainingError("another process could not go on")
        assert not isinstance(load, DinoIRError)
        yield finish(load, device=run.device) if on_device else load


def build_learner(recipe: Recipe) -> Learner:
    """The restorer or learner a recipe names, its priors filled with their trained weights."""
    return fill_priors(build(*recipe.subject))


def build_sources(recipe: Recipe, data: Path | None) -> list[Source]:
    """Build the `[[data]]` tables of a recipe."""
    return [
        Source(
            dataset=build("datasets", with_root(table["dataset"], data)),
            degradation=build("degradations", table["degradation"]) if "degradation" in table else None,
            weight=table.get("weight", 1.0),
        )
        for table in recipe.data
    ]


def start_from(module: nn.Module, weights: str | Path) -> tuple[int, int]:
    """Copy the weights of another run into the parameters of the same name and shape.

    Returns:
        How many parameters fitted, and how many the module has.

    Raises:
        WeightsError: none fits.
    """
    given, _ = read_weights(find_weights(weights))
    own = learned(module)
    fitting = {key: value for key, value in given.items() if key in own and own[key].shape == value.shape}
    if not fitting:
        raise WeightsError(f"{weights} has no parameter that fits what the recipe trains")
    module.load_state_dict(fitting, strict=False)
    return len(fitting), len(own)


def _tables(recipe: Recipe) -> dict[str, Any]:
    """What a run's product is rebuilt by: its restorer, also where a learner teaches one."""
    if recipe.learner is None:
        return {"restorer": recipe.restorer}
    taught = {key: recipe.learner[key] for key in ("restorer",) if key in recipe.learner}
    return {"learner": recipe.learner, **taught}


Load = Batch | list[Sample] | DinoIRError


@dataclass(frozen=True)
class _Loads(TorchDataset[Load]):
    """What is read for each step. An error is handed over, not raised: a worker would add its traceback."""

    stream: Stream
    finish: Callable[[list[Sample]], Batch | list[Sample]]

    def __getitem__(self, places: Sequence[tuple[int, int]]) -> Load:
        try:
            return self.finish([self.stream[place] for place in places])
        except DinoIRError as problem:
            return problem


def _as_it_is(load: Load) -> Load:
    return load


def _end_workers() -> None:
    """Before Python waits for them at its end: after an error they would go on for ever, deaf to SIGTERM."""
    for child in multiprocessing.active_children():
        if child.daemon:
            child.kill()


def _start_worker(_worker: int) -> None:
    keep_freed_memory()  # for the command's own process, the command has done it
    torch.set_num_threads(1)
    for each in (signal.SIGINT, signal.SIGTERM):  # terminals and torchrun tell all; the main process decides
        signal.signal(each, signal.SIG_IGN)
