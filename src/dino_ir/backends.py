"""Programs that can run a restorer's network: torch, OpenVINO, and onnxruntime; the prior stays in torch."""

import hashlib
import math
import os
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from dino_ir.contracts import Restorer, View
from dino_ir.errors import DinoIRError, WeightsError
from dino_ir.export import no_pools, piece_graph, write_graph
from dino_ir.formats.decoding import size_of
from dino_ir.pools import is_measuring_pools, shared_pools
from dino_ir.trust import wants_full_precision
from dino_ir.wrapped import Wrapped

__all__ = [
    "BACKENDS",
    "OPENVINO_GAINS",
    "choose_backend",
    "computes_fast_in_bfloat16",
    "count_pixels",
    "find_precision",
    "use_backend",
]

BACKENDS = ("auto", "torch", "openvino", "onnx")

OPENVINO_GAINS: Mapping[str, float] = MappingProxyType({})
"""Seconds that OpenVINO saves per megapixel beside torch, by network, where it was measured to win and to
cost less than 0.02 dB. Nowhere, so far: for NAFNet it saves 0.23 s in bfloat16 but loses 0.17 dB on haze, and
in float32 it saves 3 % of 12 megapixels (docs/speed.md)."""

START, FIRST_START = 3.0, 30.0
"""Seconds that OpenVINO takes to start; and with it to make the graph, once for each weight file."""

Run = Callable[[Mapping[str, Any]], Any]
"""Named numpy arrays in, the restored piece out."""

FindGraph = Callable[[], Path]
"""Where the graph is; asked once the program is known to be there, for making one takes half a minute."""


def use_backend(
    restorer: Restorer, backend: str = "auto", exact: bool = False, pixels: float = 0.0
) -> Restorer:
    """The same restorer, run by another program; what it restores differs by rounding alone.

    The graph is made once for each restorer, and kept in the user's cache (`$XDG_CACHE_HOME/dino-ir`).

    Args:
        restorer: from `inference.load`, in eval mode.
        backend: one of `BACKENDS`.
        exact: float32 throughout; otherwise bfloat16 where the processor is fast in it. What that costs:
            docs/speed.md.
        pixels: how many there are to restore, for "auto".

    Raises:
        DinoIRError: an unknown backend, one that is not installed, or another device than the CPU.
        WeightsError: the restorer is not a network, alone or guided.
        OSError: the cache cannot be written to.
    """
    if backend not in BACKENDS:
        raise DinoIRError(f"no backend {backend!r}; expected {', '.join(BACKENDS)}")
    if backend == "auto":
        backend = choose_backend(restorer, pixels)
    device = next((weight.device.type for weight in restorer.parameters()), "cpu")
    half = find_precision(backend, exact, device) == "bfloat16"
    if backend == "torch":
        return _InBfloat16(restorer) if half else restorer
    if device != "cpu":
        raise DinoIRError(f"the backend {backend} runs on the CPU: give --device cpu, or --backend torch")
    start = _OpenVINO if backend == "openvino" else _start_onnx
    with _installed(backend):
        return _Exported(restorer, start(partial(_graph_of, restorer), half))


def choose_backend(restorer: Restorer, pixels: float) -> str:
    """What `auto` stands for: OpenVINO where it was measured to win and to pay for its start, else torch.

    Args:
        restorer: in eval mode.
        pixels: how many there are to restore.
    """
    kind = type(getattr(restorer, "network", None)).__name__.lower()
    on_cpu = all(weight.device.type == "cpu" for weight in restorer.parameters())
    if not on_cpu or kind not in OPENVINO_GAINS or find_spec("openvino") is None:
        return "torch"
    saved = OPENVINO_GAINS[kind] * pixels / 1e6
    if saved <= START:  # before the graph's name, for which all weights are read
        return "torch"
    is_made = _graph_path(restorer).exists()
    can_start = is_made or find_spec("onnxscript") is not None
    return "openvino" if can_start and saved > (START if is_made else FIRST_START) else "torch"


def find_precision(backend: str, exact: bool, device: str) -> str:
    """What `use_backend` computes in: "float32" or "bfloat16".

    Args:
        backend: torch, openvino or onnx, which knows float32 alone.
        exact: as there.
        device: cpu, or another, which computes in float32.
    """
    half = not exact and backend != "onnx" and device == "cpu" and computes_fast_in_bfloat16()
    return "bfloat16" if half else "float32"


def count_pixels(photos: Iterable[Path], most: float = math.inf, enough: float = 1e9) -> float:
    """How many pixels photo files have, by their headers; one that cannot be read has none.

    Args:
        photos: where they are.
        most: a photo of more is refused, and has none.
        enough: stop counting here.
    """
    total = 0.0
    for photo in photos:
        pixels = math.prod(size_of(photo) or (0,))
        total += pixels if pixels <= most else 0
        if total >= enough:
            break
    return total


def computes_fast_in_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself, by AVX-512 BF16 or AMX."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # torch 2.9 has none
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


class _InBfloat16(Wrapped):
    """Convolutions and products in bfloat16, sums and the image itself in float32."""

    def forward(self, degraded: Tensor, view: View | None = None) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=not wants_full_precision()):
            return self.restorer(degraded, view).float()


class _Exported(Wrapped):
    """Pieces go through the graph one by one; photos are looked at, and their pools measured, in torch."""

    def __init__(self, restorer: Restorer, run: Run) -> None:
        super().__init__(restorer)
        self.run = run
        self.no_pools = no_pools(restorer)

    def forget(self) -> None:
        # OpenVINO takes another graph once one size has come often, and the two differ by rounding.
        if isinstance(self.run, _OpenVINO):
            self.run.forget()

    def forward(self, degraded: Tensor, view: View | None = None) -> Tensor:
        if wants_full_precision() or is_measuring_pools():
            return self.restorer(degraded, view)
        return torch.cat([self._piece(degraded, view, index) for index in range(len(degraded))])

    def _piece(self, degraded: Tensor, view: View | None, index: int) -> Tensor:
        inputs = {"degraded": degraded[index : index + 1]}
        if view is not None:
            photo = index * len(view.map) // len(degraded)
            inputs |= {"map": view.map[photo : photo + 1], "box": view.box[index : index + 1]}
        shared = shared_pools()
        if self.no_pools:
            inputs["share"] = torch.full((1,), float(shared is not None))
        given = self.no_pools if shared is None else shared
        for number in range(len(self.no_pools)):
            values = torch.cat(list(given[number :: len(self.no_pools)]))  # of all, or photo after photo
            photo = index * len(values) // len(degraded)
            inputs[f"pools_{number}"] = values[photo : photo + 1]
        arrays = {name: each.detach().contiguous().numpy() for name, each in inputs.items()}
        return torch.from_numpy(self.run(arrays))


class _OpenVINO:
    """A graph of open sizes; once one size has come often in a row, a graph of that size, which is faster."""

    _OFTEN = 16

    def __init__(self, find_graph: FindGraph, half: bool) -> None:
        from openvino import Core

        self.core, self.graph = Core(), find_graph()
        self.settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        self.open = self._compile()
        self.made: tuple[Mapping[str, Any], Any] = MappingProxyType({}), None  # the last of a size
        self.forget()

    def forget(self, shapes: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Begin to count anew, with pieces of these shapes."""
        self.fixed: Any = None
        self.shapes, self.count = shapes, 0

    def __call__(self, inputs: Mapping[str, Any]) -> Any:
        shapes = {name: list(each.shape) for name, each in inputs.items()}
        if shapes != self.shapes:
            self.forget(shapes)
        self.count += 1
        if self.count == self._OFTEN:
            if self.made[0] != shapes:
                self.made = shapes, self._compile(shapes)
            self.fixed = self.made[1]
        request = self.fixed or self.open
        return request.infer(inputs)["restored"].copy()  # the next piece takes the same memory

    def _compile(self, shapes: Mapping[str, Any] | None = None) -> Any:
        model = self.core.read_model(self.graph)
        if shapes:
            model.reshape(shapes)
        return self.core.compile_model(model, "CPU", self.settings).create_infer_request()


def _start_onnx(find_graph: FindGraph, half: bool) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()  # pyright: ignore[reportAttributeAccessIssue] of a compiled module
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # as `terminal.share_cores`
    session = onnxruntime.InferenceSession(find_graph(), options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(["restored"], inputs)[0]


@contextmanager
def _installed(backend: str) -> Generator[None]:
    try:
        yield
    except ImportError:
        raise DinoIRError(
            f"the backend {backend} is not installed: pip install 'dino-ir[{backend}]', or use torch"
        ) from None


def _graph_of(restorer: Restorer) -> Path:
    path = _graph_path(restorer)
    if not path.exists():
        write_graph(piece_graph(restorer), path)
    return path


def _graph_path(restorer: Restorer) -> Path:
    """Where the graph is kept, under the digest of all that decides it: weights, structure, and code."""
    if not any(True for _ in restorer.parameters()):
        raise WeightsError(f"{type(restorer).__name__} has learned nothing, so only torch can run it")
    total = hashlib.sha256(f"{torch.__version__} {restorer} {_options(restorer)}".encode())
    for name, value in restorer.state_dict().items():
        total.update(f"{name}{list(value.shape)}".encode())
        total.update(value.detach().cpu().contiguous().numpy().tobytes())
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        total.update(path.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "dino-ir" / f"{total.hexdigest()[:32]}.onnx"


def _options(restorer: Restorer) -> list[Any]:
    """The plain numbers and words that every part holds, such as a norm's eps or how the prior looks."""
    plain = (bool, int, float, str, tuple)
    return [
        {key: value for key, value in vars(part).items() if isinstance(value, plain)}
        for part in restorer.modules()
    ]
