"""The command line: one program, and its verbs in `commands/`."""

import typer

from dino_ir.arguments import VersionOption
from dino_ir.commands.cluster import cluster
from dino_ir.commands.evaluate import evaluate, score
from dino_ir.commands.export import export
from dino_ir.commands.figure import figure
from dino_ir.commands.reproduce import reproduce
from dino_ir.commands.restore import restore
from dino_ir.commands.show import degrade, demo, doctor, list_parts
from dino_ir.commands.train import check, train
from dino_ir.commands.weights import weight_verbs
from dino_ir.ops.allocator import keep_freed_memory
from dino_ir.terminal import share_cores, write_any_name

__all__ = ["app", "main"]

app = typer.Typer(
    name="dino-ir",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Take noise, blur, rain and haze out of photos, blind: one model, guided by robust DINO features.",
)


@app.callback()
def main(version: VersionOption = False) -> None:
    """Hold what is common to all verbs."""
    write_any_name()
    share_cores()
    keep_freed_memory()


verbs = {
    "restore": restore,
    "cluster": cluster,
    "train": train,
    "evaluate": evaluate,
    "score": score,
    "reproduce": reproduce,
    "figure": figure,
    "export": export,
    "degrade": degrade,
    "check": check,
    "list": list_parts,
    "doctor": doctor,
    "demo": demo,
}
for name, verb in verbs.items():
    app.command(name)(verb)
app.add_typer(weight_verbs)
