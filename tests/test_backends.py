"""The same photos come out of every program that runs a network."""

import pytest
import torch

from dino_ir import backends, tiling
from dino_ir.backends import choose_backend, count_pixels, find_precision, use_backend
from dino_ir.catalog import build
from dino_ir.errors import DinoIRError, WeightsError
from dino_ir.files.images import Photo, write_photo
from dino_ir.inference import restore
from dino_ir.mirror import Mirrored
from dino_ir.restorers.identity import Identity

PROGRAMS = {"onnx": "onnxruntime", "openvino": "openvino"}
TABLE = {
    "name": "dino_ir",
    "network": {"name": "nafnet", "width": 4, "encoder": [1], "middle": 1, "decoder": [1]},
    "prior": {"name": "patch_color"},
    "level_fusion": {"name": "adapt_and_fuse", "starts_at_zero": False},
    "side": 64,
}
SIZES = [(1, 1), (3, 2), (17, 5), (1, 61), (61, 1), (33, 47), (64, 64), (101, 37), (29, 163), (255, 129)]


EXPERTS = {**TABLE, "network": {"name": "experts", "count": 2, "expert": TABLE["network"]}}


@pytest.fixture(scope="module")
def restorer():
    return make(TABLE)


def make(table):
    torch.manual_seed(0)
    made = build("restorers", table).eval()
    for parameter in made.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.3)
    return made


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache of graphs for all tests of this file: making one takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder / "dino-ir"


@pytest.mark.parametrize("backend", PROGRAMS)
def test_ten_sizes_in_tiles_are_restored_alike(restorer, cache, backend, monkeypatch):
    monkeypatch.setattr(tiling, "_PIECE", 8)  # so that most share what they pool
    pytest.importorskip(PROGRAMS[backend])
    pytest.importorskip("onnxscript")
    fast = use_backend(restorer, backend, exact=True)

    for size in SIZES:
        photo = torch.rand(3, *size)
        for tile in ("off", 48):
            torch.testing.assert_close(
                restore(fast, photo, tile), restore(restorer, photo, tile), rtol=0, atol=1e-5
            )
    batch = torch.rand(2, 3, 20, 30)
    torch.testing.assert_close(restore(fast, batch), restore(restorer, batch), rtol=0, atol=1e-5)
    mirrored = restore(Mirrored(fast), photo, 48), restore(Mirrored(restorer), photo, 48)
    torch.testing.assert_close(*mirrored, rtol=0, atol=1e-5)


@pytest.mark.parametrize("backend", PROGRAMS)
def test_experts_are_mixed_for_each_photo(cache, backend, monkeypatch):
    monkeypatch.setattr(tiling, "_PIECE", 8)
    pytest.importorskip(PROGRAMS[backend])
    pytest.importorskip("onnxscript")
    experts = make(EXPERTS)
    for number, expert in enumerate(experts.network.experts):
        torch.nn.init.constant_(expert.to_image.bias, 0.1 * number)
    fast = use_backend(experts, backend, exact=True)
    photos = torch.rand(2, 3, 60, 90) * torch.tensor([1.0, 0.2]).view(-1, 1, 1, 1)

    for tile in ("off", 48):
        for ours, theirs in ((fast, experts), (Mirrored(fast), Mirrored(experts))):
            torch.testing.assert_close(
                restore(ours, photos, tile), restore(theirs, photos, tile), rtol=0, atol=1e-5
            )


def test_a_size_that_comes_often_gives_the_same(restorer, cache):
    pytest.importorskip("openvino")
    pytest.importorskip("onnxscript")
    fast, photo = use_backend(restorer, "openvino", exact=True), torch.rand(3, 160, 160)

    restored = restore(fast, photo, tile=32)  # 100 tiles of one size

    assert fast.run.fixed is not None
    torch.testing.assert_close(restored, restore(restorer, photo, tile=32), rtol=0, atol=1e-5)
    restore(fast, photo[:, :40])
    assert fast.run.fixed is None


def test_sizes_that_came_before_can_be_forgotten(restorer, cache, monkeypatch):
    pytest.importorskip("openvino")
    pytest.importorskip("onnxscript")
    fast, photo = use_backend(restorer, "openvino", exact=True), torch.rand(3, 160, 160)
    first = restore(fast, photo, tile=32)
    assert fast.run.fixed is not None

    fast.forget()

    assert (fast.run.fixed, fast.run.count) == (None, 0)
    monkeypatch.setattr(fast.run, "_compile", lambda _shapes: pytest.fail("made again"))
    assert torch.equal(restore(fast, photo, tile=32), first)


def test_a_graph_is_made_once_for_a_restorer_and_again_for_another(restorer, cache, monkeypatch):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    use_backend(restorer, "onnx")
    made = set(cache.iterdir())
    assert {path.suffix for path in made} == {".onnx"}
    monkeypatch.setattr(backends, "piece_graph", lambda _restorer: pytest.fail("made again"))

    use_backend(restorer, "onnx")

    other = build("restorers", {**TABLE, "side": 128}).eval()
    other.load_state_dict(restorer.state_dict())
    with pytest.raises(pytest.fail.Exception, match="made again"):
        use_backend(other, "onnx")
    assert set(cache.iterdir()) == made


def test_torch_is_exact_where_asked_and_near_otherwise(restorer):
    photo = torch.rand(3, 40, 56)
    expected = restore(restorer, photo)

    near = restore(use_backend(restorer, "torch"), photo)

    assert use_backend(restorer, "torch", exact=True) is restorer
    assert near.dtype == torch.float32
    torch.testing.assert_close(near, expected, rtol=0, atol=0.02)


def test_openvino_in_bfloat16_is_near_torch(restorer):
    pytest.importorskip("openvino")
    photo = torch.rand(3, 41, 57, generator=torch.Generator().manual_seed(0))

    near = restore(use_backend(restorer, "openvino"), photo)

    torch.testing.assert_close(near, restore(restorer, photo), rtol=0, atol=0.02)


def test_bfloat16_is_used_only_where_the_processor_has_it(restorer, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False}, raising=False)
    assert use_backend(restorer, "torch") is restorer

    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}, raising=False)
    assert use_backend(restorer, "torch") is not restorer

    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert use_backend(restorer, "torch") is restorer


@pytest.mark.parametrize(
    ("backend", "exact", "device", "expected"),
    [
        ("torch", False, "cpu", "bfloat16"),
        ("openvino", False, "cpu", "bfloat16"),
        ("onnx", False, "cpu", "float32"),
        ("torch", True, "cpu", "float32"),
        ("torch", False, "cuda", "float32"),
    ],
)
def test_it_is_told_what_numbers_are_computed_in(monkeypatch, backend, exact, device, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}, raising=False)
    assert find_precision(backend, exact, device) == expected

    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    assert find_precision(backend, exact, device) == "float32"


@pytest.mark.parametrize(("pixels", "is_made", "expected"), [
    (1e5, True, "torch"), (5e6, True, "openvino"), (5e6, False, "torch"), (1e8, False, "openvino"),
])  # fmt: skip
def test_auto_takes_openvino_only_where_it_pays_for_its_start(
    restorer, monkeypatch, tmp_path, pixels, is_made, expected
):
    graph = tmp_path / "graph.onnx"
    if is_made:
        graph.touch()
    monkeypatch.setattr(backends, "OPENVINO_GAINS", {"nafnet": 1.0})
    monkeypatch.setattr(backends, "find_spec", lambda _name: "here")
    monkeypatch.setattr(backends, "_graph_path", lambda _restorer: graph)

    assert choose_backend(restorer, pixels) == expected


def test_auto_is_torch_where_openvino_is_missing_or_was_not_measured_to_win(restorer, monkeypatch):
    monkeypatch.setattr(backends, "OPENVINO_GAINS", {"restormer": 1.0})
    assert choose_backend(restorer, 1e9) == "torch"
    assert choose_backend(Identity(), 1e9) == "torch"

    monkeypatch.setattr(backends, "OPENVINO_GAINS", {"nafnet": 1.0})
    monkeypatch.setattr(backends, "find_spec", lambda _name: None)
    assert choose_backend(restorer, 1e9) == "torch"


def test_pixels_are_counted_by_headers_until_they_are_enough(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        write_photo(tmp_path / name, Photo(torch.rand(3, 20, 30)))
    (tmp_path / "broken.png").write_bytes(b"no picture")

    photos = sorted(tmp_path.iterdir())

    assert count_pixels(photos) == 1800
    assert count_pixels(photos, enough=700) == 1200
    assert count_pixels(photos, most=599) == 0
    assert count_pixels([tmp_path / ("x" * 300)]) == 0
    assert count_pixels([tmp_path / "missing.png"]) == 0


@pytest.mark.parametrize("backend", PROGRAMS)
def test_a_missing_program_is_named_before_a_graph_is_made(restorer, monkeypatch, backend):
    monkeypatch.setitem(__import__("sys").modules, PROGRAMS[backend], None)
    monkeypatch.setattr(backends, "_graph_of", lambda _restorer: pytest.fail("made"))

    with pytest.raises(DinoIRError, match=rf"{backend} is not installed: pip install 'dino-ir\[{backend}\]'"):
        use_backend(restorer, backend)


def test_wrong_requests_are_refused(restorer):
    with pytest.raises(DinoIRError, match="no backend 'tpu'; expected auto, torch, openvino, onnx"):
        use_backend(restorer, "tpu")
    with pytest.raises(WeightsError, match="Identity has learned nothing"):
        use_backend(Identity(), "onnx")
