"""Modules as ONNX graphs."""

import logging
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import Any

import torch
from torch import Tensor, nn

from dino_ir.errors import DinoIRError

__all__ = ["NEEDED", "extra_onnx", "translate"]

NEEDED = "this needs onnx, onnxscript and onnxruntime: pip install 'dino-ir[onnx]'"
"""What to say where a package of the extra is missing."""

IMAGES = ("photo", "degraded", "map")
"""Names of the inputs whose sides stay open."""


@contextmanager
def extra_onnx() -> Generator[None]:
    """Within, what is missing of the extra `onnx` is said.

    Raises:
        DinoIRError: a package cannot be imported.
    """
    try:
        yield
    except ImportError:
        raise DinoIRError(NEEDED) from None


def translate(module: nn.Module, inputs: Mapping[str, Tensor | list[Tensor]]) -> Any:
    """Trace a module with these inputs, and say it in ONNX; the sides of images and maps stay open.

    Args:
        module: of one output, which is named `restored`.
        inputs: arguments by name, as examples; `photo`, `degraded` and `map` are images, [1, C, H, W].

    Returns:
        An `onnx.ModelProto`. An argument that is a list gives inputs `name_0`, `name_1`, and so on.

    Raises:
        DinoIRError: the extra `onnx` is missing.
    """
    with extra_onnx():
        import onnx
        import onnxscript  # noqa: F401  # pyright: ignore[reportUnusedImport] torch uses it
    dynamic = torch.export.Dim.DYNAMIC
    open_sides = {2: dynamic, 3: dynamic}
    shapes: dict[str, Any] = {
        name: open_sides if name in IMAGES else [None] * len(each) if isinstance(each, list) else None
        for name, each in inputs.items()
    }
    with torch.no_grad(), _quietly():
        program = torch.export.export(
            module.eval(),
            (),
            dict(inputs),
            dynamic_shapes=shapes,
            prefer_deferred_runtime_asserts_over_guards=True,  # either side of an `if` on a size is right
        )
        graph = torch.onnx.export(program, dynamo=True, output_names=["restored"], verbose=False)
    assert graph is not None
    model = onnx.ModelProto()
    model.CopyFrom(graph.model_proto)
    del model.graph.value_info[:]
    images = [value for value in model.graph.input if value.name in IMAGES]
    for value in [*images, *model.graph.output]:
        dims = value.type.tensor_type.shape.dim
        for dim, name in zip(dims[2:], ("height", "width")):
            dim.dim_param = name if value.name != "map" else f"map_{name}"
    model.producer_name = "dino-ir"
    return model


@contextmanager
def _quietly() -> Generator[None]:
    """Torch's exporter reports on stdout and through warnings what a user cannot act on."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
