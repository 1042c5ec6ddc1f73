"""`dino-ir export`, as a user types it."""

import re

import pytest

from dino_ir import export as exporting
from dino_ir import tracing

pytest.importorskip("onnxscript")
onnx = pytest.importorskip("onnx")


def test_weights_become_a_checked_graph(call, weights, folder):
    code, output = call("export", weights, "-o", "a.onnx", "--licence", "CC0-1.0")

    assert code == 0, output
    assert re.fullmatch(r"a\.onnx: \d\.\d MB, within \de-\d+ of torch on odd sizes\n", output)
    notes = {entry.key: entry.value for entry in onnx.load(folder / "a.onnx").metadata_props}
    assert notes["licence"] == "CC0-1.0"
    assert '"plain"' in notes["dino_ir"]


def test_a_graph_that_differs_is_not_written(call, weights, folder, monkeypatch):
    monkeypatch.setattr(exporting, "photo_graph", lambda _restorer: None)

    def differ(_graph, _restorer):
        raise exporting.DinoIRError("the graph differs from torch by 1 on a photo of 1 x 1 pixels")

    monkeypatch.setattr(exporting, "check_photo_graph", differ)

    code, output = call("export", weights, "-o", "a.onnx")

    assert code == 2
    assert output == "dino-ir: the graph differs from torch by 1 on a photo of 1 x 1 pixels\n"
    assert not (folder / "a.onnx").exists()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["-o", "a.pt"], "a.pt is no name for a graph: it ends in .onnx"),
        (["-o", "there.onnx"], "there.onnx exists; give another name, or --overwrite"),
        (["-o", "folder.onnx", "--overwrite"], "folder.onnx is a folder; give another name"),
    ],
)
def test_a_wrong_name_is_refused_before_anything_is_done(call, weights, folder, words, complaint):
    (folder / "there.onnx").touch()
    (folder / "folder.onnx").mkdir()

    assert call("export", weights, *words) == (2, f"dino-ir: {complaint}\n")


def test_a_url_is_no_place_for_a_graph(call, weights, folder):
    code, output = call("export", weights, "-o", "s3://bucket/a.onnx")

    assert code == 2
    assert "is a URL" in output
    assert not (folder / "s3:").exists()


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_without_the_extra_it_says_what_to_install_before_anything_is_made(
    call, weights, monkeypatch, missing
):
    monkeypatch.setitem(__import__("sys").modules, missing, None)
    monkeypatch.setattr(tracing.torch.export, "export", lambda *_all, **_named: pytest.fail("made"))

    code, output = call("export", weights, "-o", "a.onnx")

    assert code == 2
    assert output == f"dino-ir: {tracing.NEEDED}\n"
