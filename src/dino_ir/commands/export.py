"""The verb that exports weights for other programs."""

from typing import Annotated, Any

import typer

from dino_ir.arguments import out_option, read_place
from dino_ir.errors import WeightsError
from dino_ir.terminal import plain_errors, say

__all__ = ["export"]


def export(
    weights: Annotated[
        str, typer.Argument(metavar="WEIGHTS", help="A shipped name (`dino-ir doctor` lists them) or a file.")
    ] = "default",
    out: Annotated[Any, out_option("FILE", "The graph to write.", read_place)] = "model.onnx",
    licence: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Of the weights. Default: what is known of them.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
) -> None:
    """Write weights as one ONNX graph, from a photo to the photo restored, and check it against torch.

    The prior is inside. Input `photo` and output `restored` are float32, [1, 3, height, width], RGB in
    [0, 1], of any height and width. Needs the extra `onnx`.
    """
    with plain_errors():
        from dino_ir.export import check_photo_graph, describe_graph, photo_graph, write_graph
        from dino_ir.files.weights import find_weights, read_weights, shipped
        from dino_ir.inference import load
        from dino_ir.tracing import extra_onnx

        if out.suffix != ".onnx":
            raise WeightsError(f"{out} is no name for a graph: it ends in .onnx")
        if out.is_dir():
            raise WeightsError(f"{out} is a folder; give another name")
        if out.exists() and not overwrite:
            raise WeightsError(f"{out} exists; give another name, or --overwrite")
        with extra_onnx():  # before the graph is made, which takes half a minute; the check needs it
            import onnxruntime  # noqa: F401  # pyright: ignore[reportUnusedImport] is it there?
        path = find_weights(weights)
        is_ours = path.stem in shipped() and path == find_weights(path.stem)
        restorer = load(weights, "cpu")
        graph = photo_graph(restorer)
        most = check_photo_graph(graph, restorer)
        known = "Apache-2.0" if is_ours else "that of the weights, which their file does not state"
        describe_graph(graph, restorer, read_weights(path)[1], licence or known)
        write_graph(graph, out)
        say(f"{out}: {graph.ByteSize() / 1e6:.1f} MB, within {most:.1g} of torch on odd sizes")
