"""Graphs of restorers do what torch does, at sizes they were not traced at."""

import json
import logging
import warnings

import pytest
import torch
from google.protobuf.message import EncodeError

from dino_ir.catalog import build
from dino_ir.errors import DinoIRError, WeightsError
from dino_ir.export import check_photo_graph, describe_graph, photo_graph, write_graph
from dino_ir.inference import restore
from dino_ir.restorers.identity import Identity

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

NAFNET = {"name": "nafnet", "width": 4, "encoder": [1], "middle": 1, "decoder": [1]}
RESTORMER = {"name": "restormer", "dim": 8, "depths": [1, 1, 1], "heads": [1, 2, 4], "refine": 1}
PRIOR = {
    "name": "dino_tiny",
    "trained": False,
    "layers": [0, 1],
    "width": 16,
    "depth": 2,
    "heads": 2,
    "grid": 4,
}
STEERED = {"name": "adapt_and_fuse", "starts_at_zero": False}
GUIDED = {"name": "dino_ir", "network": NAFNET, "prior": PRIOR, "level_fusion": STEERED, "side": 64}
OTHERS = {
    "experts": {**GUIDED, "network": {"name": "experts", "count": 2, "expert": NAFNET}},
    "alone": {"name": "plain", "network": RESTORMER},
    "unguided": {**GUIDED, "level_fusion": {"name": "none"}},
    "each piece seen by DINOv2": {
        **GUIDED,
        "network": RESTORMER,
        "prior": {"name": "dinov2", "size": "tiny"},
        "view": "grid",
        "longest": 112,
    },
}
SIZES = [(1, 1), (3, 2), (17, 5), (1, 61), (61, 1), (33, 47), (64, 64), (101, 37), (29, 163), (255, 129)]


def made(table):
    torch.manual_seed(0)
    restorer = build("restorers", table).eval()
    for parameter in restorer.parameters():
        if not parameter.any():  # gains that are born zero would hide their blocks
            torch.nn.init.normal_(parameter, std=0.3)
    return restorer


@pytest.fixture(scope="module")
def guided():
    return made(GUIDED)


@pytest.fixture(scope="module")
def graph(guided):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return photo_graph(guided)


def differences(run, restorer):
    photos = [torch.rand(1, 3, *size) for size in SIZES]
    return [
        float((torch.from_numpy(run(each.numpy())) - restore(restorer, each, "off")).abs().max())
        for each in photos
    ]


def in_onnxruntime(graph):
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda photo: session.run(None, {"photo": photo})[0]


def in_openvino(graph):
    openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    model = core.compile_model(
        core.read_model(graph.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    return lambda photo: model({"photo": photo})["restored"]


@pytest.mark.parametrize("start", [in_onnxruntime, in_openvino])
def test_any_size_gives_what_torch_gives(guided, graph, start):
    assert max(differences(start(graph), guided)) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("table", OTHERS.values(), ids=OTHERS)
def test_so_does_every_kind_of_restorer(table):
    restorer = made(table)
    graph = photo_graph(restorer)

    for start in (in_onnxruntime, in_openvino):
        assert max(differences(start(graph), restorer)) < 1e-5


def test_it_passes_onnx_own_check_and_names_its_sides(graph):
    onnx.checker.check_model(graph, full_check=True)

    ends = {value.name: value for value in [*graph.graph.input, *graph.graph.output]}
    sides = {
        name: [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]
        for name, value in ends.items()
    }
    assert sides == {name: [1, 3, "height", "width"] for name in ("photo", "restored")}


def test_the_check_finds_the_same_and_complains_of_another_restorer(guided, graph):
    assert check_photo_graph(graph, guided) < 1e-5

    other = made({**GUIDED, "side": 96})
    with pytest.raises(DinoIRError, match=r"^the graph differs from torch by .* nothing was written"):
        check_photo_graph(graph, other)


def test_metadata_says_what_it_is_and_whose(guided, graph, tmp_path):
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    table = {"restorer": GUIDED, "priors": {"dinov2_vits14": "0" * 64}}

    describe_graph(copy, guided, table, "CC0-1.0")
    write_graph(copy, tmp_path / "new" / "a.onnx")

    read = onnx.load(tmp_path / "new" / "a.onnx")
    notes = {entry.key: entry.value for entry in read.metadata_props}
    assert json.loads(notes["dino_ir"]) == table
    assert notes["licence"] == "CC0-1.0; prior dinov2_vits14: Apache-2.0"
    assert notes["multiple_of"].startswith("2,")
    assert "0 to 1" in notes["photo"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.onnx"]


@pytest.mark.parametrize("problem", [EncodeError("Failed to serialize proto"), ValueError("2GB limit")])
def test_a_graph_too_large_for_one_file_is_refused(guided, tmp_path, problem):
    class Large:
        """What protobuf does with more than 2 GiB, which would take a minute to make."""

        def SerializeToString(self):  # noqa: N802 protobuf's name
            raise problem

    for use in (
        lambda: check_photo_graph(Large(), guided),
        lambda: write_graph(Large(), tmp_path / "a.onnx"),
    ):
        with pytest.raises(DinoIRError, match="more than 2 GiB, which no ONNX file can have"):
            use()
    assert not list(tmp_path.iterdir())


def test_what_has_learned_nothing_has_no_graph():
    with pytest.raises(WeightsError, match="Identity has learned nothing"):
        photo_graph(Identity())


def test_torch_is_left_as_it_was(guided, graph):
    assert logging.getLogger("torch.onnx").level == logging.NOTSET
    assert all(isinstance(value, torch.Tensor) for value in guided.state_dict().values())
    assert restore(guided, torch.rand(3, 9, 9)).isfinite().all()
