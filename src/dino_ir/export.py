"""Restorers as ONNX graphs: prior, fusion and network in one, for images of any height and width."""

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from dino_ir.contracts import Restorer, View
from dino_ir.errors import DinoIRError, WeightsError
from dino_ir.inference import restore
from dino_ir.ops.filters import triangle_weights
from dino_ir.pools import Pools
from dino_ir.published import published
from dino_ir.restorers.dino_ir import DinoIR
from dino_ir.tracing import extra_onnx, translate
from dino_ir.unfinished import unfinished_name

__all__ = [
    "check_photo_graph",
    "describe_graph",
    "no_pools",
    "photo_graph",
    "piece_graph",
    "write_graph",
]

TOLERANCE = 1e-4
"""Largest difference between a graph's result and torch's: 1/40 of a step of 8 bits."""

_CHECKED = ((1, 1), (45, 31), (97, 203), (211, 133))  # odd sizes, upright and lying


def photo_graph(restorer: Restorer) -> Any:
    """One graph from a whole photo to the photo restored, which is what `restore(..., tile="off")` does.

    Its input `photo` and its output `restored` are [1, 3, height, width], RGB as sRGB encodes it, in
    [0, 1], of any height and width: the prior's thumbnail and the border are made inside. (Beyond a
    megapixel, `restore` makes that thumbnail in two steps, the graph in one.)

    Returns:
        An `onnx.ModelProto`.

    Raises:
        DinoIRError: the extra `onnx` is missing.
        WeightsError: the restorer is not a network, alone or guided.
    """
    return translate(_Photo(_exportable(restorer)), {"photo": torch.rand(1, 3, 203, 301)})


def piece_graph(restorer: Restorer) -> Any:
    """One graph for pieces of photos, as `inference.restore` hands them to a restorer.

    Its input `degraded` is [1, 3, height, width], both sides multiples of `multiple_of`. A restorer that
    looks at whole photos also takes `map`, what `look` gives, and `box`, as `View` has them; one that pools,
    `share`, 1 or 0: whether what it pools is taken from `pools_0`, `pools_1`, ..., or from the piece.

    Returns:
        An `onnx.ModelProto`.

    Raises:
        DinoIRError: the extra `onnx` is missing.
        WeightsError: the restorer is not a network, alone or guided.
    """
    restorer = _exportable(restorer)
    degraded = torch.rand(1, 3, 6 * restorer.multiple_of, 8 * restorer.multiple_of)
    inputs: dict[str, Tensor | list[Tensor]] = {"degraded": degraded}
    with torch.no_grad():
        described = restorer.look(torch.rand(1, 3, 203, 301))
    if described is not None:
        inputs |= {"map": described, "box": torch.tensor([[0.0, 0.1, 0.5, 0.4]])}
    if pools := no_pools(restorer):
        inputs |= {"share": torch.ones(1), "pools": pools}
    return translate(_Piece(restorer), inputs)


def no_pools(restorer: Restorer) -> list[Tensor]:
    """Zeros of the shapes that a restorer's layers pool of one piece, for a graph that shares none."""
    pools = Pools(restorer)
    with torch.no_grad(), pools.measuring(1):
        side = 2 * restorer.multiple_of
        described = restorer.look(torch.zeros(1, 3, side, side))
        view = None if described is None else View(described, torch.tensor([[0.0, 0.0, 1.0, 1.0]]))
        restorer(torch.zeros(1, 3, side, side), view)
    return [torch.zeros_like(values) for values in pools.values]


def describe_graph(graph: Any, restorer: Restorer, table: Mapping[str, Any], licence: str) -> None:
    """Note in a photo graph what it is: its weights' table, ranges and licence.

    Args:
        graph: from `photo_graph`.
        restorer: what it was made of.
        table: of the weight file, kept as JSON.
        licence: of the weights; that of the prior's is added where it is known.
    """
    import onnx

    photo = "RGB as sRGB encodes it, 0 to 1, [1, 3, height, width], any height and width"
    known = published()
    priors = [f"prior {name}: {known[name].licence}" for name in table.get("priors", {}) if name in known]
    notes = {
        "dino_ir": json.dumps(dict(table)),
        "photo": photo,
        "restored": f"{photo}; of the photo's size",
        "multiple_of": f"{restorer.multiple_of}, to which the border is grown inside",
        "licence": "; ".join([licence, *priors]),
    }
    onnx.helper.set_model_props(graph, notes)


def check_photo_graph(graph: Any, restorer: Restorer) -> float:
    """Run a photo graph on odd sizes in onnxruntime, beside torch.

    Returns:
        The largest difference of any number of the restored photos.

    Raises:
        DinoIRError: the extra is missing, the graph differs from torch by more than `TOLERANCE`, or it is
            too large for one file.
    """
    with extra_onnx():
        from onnxruntime import InferenceSession

    session = InferenceSession(_content(graph), providers=["CPUExecutionProvider"])
    rng = torch.Generator().manual_seed(0)
    differences = {}
    for size in _CHECKED:
        photo = torch.rand(1, 3, *size, generator=rng)
        (restored,) = session.run(None, {"photo": photo.numpy()})
        expected: Tensor = restore(restorer, photo, tile="off")
        differences[size] = float((torch.from_numpy(restored) - expected).abs().max())
    (height, width), most = max(differences.items(), key=lambda item: item[1])
    if not most <= TOLERANCE:  # NaN is not
        raise DinoIRError(
            f"the graph differs from torch by {most:.2g} on a photo of {height} x {width} pixels: "
            "nothing was written; try other versions of torch and onnxruntime"
        )
    return most


def write_graph(graph: Any, path: Path) -> None:
    """Write a graph; the file appears whole or not at all.

    Raises:
        DinoIRError: it is too large for one file.
    """
    content = _content(graph)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = unfinished_name(path)  # of its own for each process that makes this graph
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _content(graph: Any) -> bytes:
    from google.protobuf.message import EncodeError

    try:
        return graph.SerializeToString()
    except (EncodeError, ValueError):  # which of the two depends on how protobuf was built
        raise DinoIRError(
            "the graph would have more than 2 GiB, which no ONNX file can have: use a smaller prior"
        ) from None


class _Piece(nn.Module):
    """What is not given as a view, the restorer sees for itself in the piece."""

    def __init__(self, restorer: Restorer) -> None:
        super().__init__()
        self.restorer = restorer

    def forward(
        self,
        degraded: Tensor,
        map: Tensor | None = None,
        box: Tensor | None = None,
        share: Tensor | None = None,
        pools: Sequence[Tensor] = (),
    ) -> Tensor:
        view = _own_view(self.restorer, degraded) if map is None or box is None else View(map, box)
        with nullcontext() if share is None else Pools(self.restorer).mixing(pools, share):
            return self.restorer(degraded, view)


class _Photo(nn.Module):
    """`inference.restore` of a whole photo, in operations that know no particular size."""

    def __init__(self, restorer: Restorer) -> None:
        super().__init__()
        self.restorer = restorer

    def forward(self, photo: Tensor) -> Tensor:
        height, width = photo.shape[-2:]
        padded = photo
        for axis in (-2, -1):
            padded = _pad(padded, axis, self.restorer.multiple_of)
        restored = self.restorer(padded, self._view(photo, padded))
        return restored[..., :height, :width].clamp(0, 1)

    def _view(self, photo: Tensor, padded: Tensor) -> View | None:
        restorer = self.restorer
        if not isinstance(restorer, DinoIR) or restorer.thumbnail is None:
            return _own_view(restorer, padded)
        patches = _patches_of_area(photo, restorer.side, restorer.prior.stride)
        ends = [padded.shape[axis] / photo.shape[axis] for axis in (-2, -1)]
        box = torch.stack([torch.scalar_tensor(edge) for edge in (0.0, 0.0, *ends)])[None]
        return View(_describe(restorer, photo, patches), box)


def _own_view(restorer: Restorer, degraded: Tensor) -> View | None:
    """A piece as a photo of its own; None where nothing is to be seen."""
    if not isinstance(restorer, DinoIR) or not restorer.level_fusion.needs_map:
        return None
    coarsest = max(place.stride for place in restorer.network.places)
    patches = _patches_of_grid(degraded, restorer.longest, coarsest, restorer.prior.stride)
    return View(_describe(restorer, degraded, patches), torch.tensor([[0.0, 0.0, 1.0, 1.0]]))


def _describe(restorer: DinoIR, image: Tensor, patches: tuple[int, int]) -> Tensor:
    rows, columns = (
        triangle_weights(count * restorer.prior.stride, image.shape[axis])
        for count, axis in zip(patches, (-2, -1))
    )
    return restorer.feature_fusion(restorer.prior(rows @ image @ columns.mT))


def _patches_of_area(photo: Tensor, side: int, patch: int) -> tuple[int, int]:
    """`ops.resample.size_of_area`, in patches, as numbers that a graph finds out."""
    height, width = (torch.scalar_tensor(length, dtype=torch.float64) for length in photo.shape[-2:])
    stretch = (height / width).sqrt()
    sides = ((side * factor).clamp(patch, 4 * side) for factor in (stretch, 1 / stretch))
    rows, columns = (cast(int, (length / patch).round().long().item()) for length in sides)
    for count in (rows, columns):  # tells the tracer what it may rely on
        torch._check(count >= 1)  # pyright: ignore[reportPrivateUsage] torch's guide names it
        torch._check(count <= 4 * side // patch)  # pyright: ignore[reportPrivateUsage]
    return rows, columns


def _patches_of_grid(image: Tensor, longest: int, coarsest: int, patch: int) -> tuple[int, int]:
    """What `DinoIR` sees of a piece, in patches, as numbers that a graph finds out."""
    height, width = image.shape[-2:]
    larger = torch.sym_max(height, width) * patch
    shrunk = (torch.sym_min(length // coarsest, length * longest // larger) for length in (height, width))
    rows, columns = (cast(int, torch.sym_max(1, count)) for count in shrunk)
    return rows, columns


def _pad(image: Tensor, axis: int, multiple: int) -> Tensor:
    """`ops.pad.pad_to_multiple` along one axis, by a table of which pixel goes where."""
    length = image.shape[axis]
    padded = (length + multiple - 1) // multiple * multiple
    places = torch.arange(padded)
    last = torch.scalar_tensor(length - 1, dtype=torch.int64)
    mirrored = torch.where(
        torch.scalar_tensor(padded - length, dtype=torch.int64) < length, 2 * last - places, last
    )
    return image.index_select(axis, torch.where(places < length, places, mirrored))


def _exportable(restorer: Restorer) -> Restorer:
    if not any(True for _ in restorer.parameters()):
        raise WeightsError(f"{type(restorer).__name__} has learned nothing, so there is no graph of it")
    return restorer
