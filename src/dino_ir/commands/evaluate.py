"""The verbs that score: restorers on benchmarks, and folders of restored photos."""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dino_ir.arguments import (
    DataOption,
    DeviceOption,
    MirrorOption,
    OverwriteOption,
    RestorerOption,
    TileOption,
    out_option,
)
from dino_ir.errors import RecipeError
from dino_ir.terminal import FAILED, console, plain_errors

if TYPE_CHECKING:
    from dino_ir.folders import Matched
    from dino_ir.scoring import Scores

__all__ = ["evaluate", "score"]

_ALL, _FID = "all", "fid"

MetricsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        metavar="NAME",
        help="Beside PSNR and SSIM, such as ms_ssim or lpips; may be repeated.",
    ),
]


def evaluate(
    benchmarks: Annotated[
        list[str],
        typer.Argument(
            metavar="BENCHMARK",
            help="Names, TOML files, or all whose pictures are there; a wrong name lists those there are.",
        ),
    ],
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="A shipped name (`dino-ir doctor` lists them) or a file.",
            show_default="default",
        ),
    ] = None,
    restorer: RestorerOption = None,
    data: DataOption = None,
    out: Annotated[
        Path | None,
        out_option(
            "DIR",
            "Folder of one restorer, for a CSV per benchmark and the table. What it has is not scored again.",
        ),
    ] = None,
    device: DeviceOption = "auto",
    tile: TileOption = "auto",
    protocol: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="How scores are taken, instead of the benchmarks' own way."),
    ] = None,
    more: MetricsOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Take so many photos of each benchmark.")] = None,
    processes: Annotated[
        int,
        typer.Option(
            "--workers",
            min=1,
            help="Processes, each on a core or on the GPU; rows are the same for any number.",
        ),
    ] = 1,
    backend: Annotated[
        str | None,
        typer.Option(
            metavar="auto|torch|openvino|onnx",
            help="Score what this gives, as restore would, in bfloat16 where that is fast. "
            "Default: torch in float32.",
        ),
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="With --backend: in float32 also where bfloat16 is fast.")
    ] = False,
    mirror: MirrorOption = False,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE",
            help="Write a page with a slider over each photo, its result and the clean one, the worst first. "
            "Photos that are not scored again are restored again for it.",
        ),
    ] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Score a restorer on benchmarks, beside the degraded input and what papers report. Prints Markdown.

    One row per photo is kept in DIR: stopped, the same command goes on. With all, benchmarks whose pictures
    are not there are listed, and the exit code is 1 if there is one that the restorer cannot be scored on.
    """
    with plain_errors():
        from dino_ir.gallery import open_gallery
        from dino_ir.scoring import Job, score_benchmarks
        from dino_ir.subject import Subject

        _check_options(weights, restorer, backend, exact, more or ())
        metrics = tuple(dict.fromkeys(("psnr", "ssim", *(more or ()))))
        subject = Subject(
            weights=weights or "default",
            restorer=restorer,
            device=device,
            backend=backend or "torch",
            exact=exact or not backend,
            mirror=mirror,
        )
        job = Job(subject, "", data, protocol, metrics, tile, limit)
        with open_gallery(html, f"Scores of {subject.name}") if html else nullcontext() as show:
            with console.status("") as status:
                scores = score_benchmarks(
                    benchmarks,
                    job,
                    processes,
                    out,
                    overwrite,
                    lambda name, done, images: status.update(f"{name} {done}/{images}"),
                    show,
                )
            _print_scores(scores, subject.name, out)  # before the page, so that no page can lose them
    if scores.failed:
        raise typer.Exit(FAILED)


def _check_options(
    weights: str | None,
    restorer: str | None,
    backend: str | None,
    exact: bool,
    metrics: Sequence[str],
) -> None:
    if weights is not None and restorer is not None:
        raise RecipeError("--weights and --restorer are two restorers: give one of them")
    if exact and backend is None:
        raise RecipeError("--exact goes with --backend: without it scores are exact already, so leave it out")
    if _FID in metrics:
        raise RecipeError(
            "fid compares folders, not photos: write photos by `dino-ir restore`, then"
            " `dino-ir score RESTORED_DIR CLEAN_DIR --metric fid`"
        )


def _print_scores(scores: "Scores", restorer: str, out: Path | None) -> None:
    from dino_ir.scoreboard import as_text, left_out

    for line in left_out(scores):
        sys.stderr.write(line + "\n")
    if not scores.rows:
        return
    text = as_text(scores, restorer) + "\n"
    if out:
        (out / "table.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


def score(
    restored: Annotated[
        Path, typer.Argument(metavar="RESTORED_DIR", help="Photos that some program restored.")
    ],
    clean: Annotated[
        Path, typer.Argument(metavar="CLEAN_DIR", help="What they should be; paired by name, without suffix.")
    ],
    protocol: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE|all", help="How scores are taken; a wrong name lists those there are."
        ),
    ] = "default",
    metric: MetricsOption = None,
    out: Annotated[Path | None, out_option("FILE", "A CSV file with a line per photo and protocol.")] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Score restored photos against clean ones, by the rule of any paper. Prints a Markdown table.

    Photos that are in one folder alone are listed, and the exit code is 1.
    """
    with plain_errors():
        from dino_ir.drawing import check_output
        from dino_ir.folders import as_markdown, frechet_distance, match_folders, score_pairs, write_scores
        from dino_ir.protocol import protocol_names, read_protocol

        if out:
            check_output(out, (".csv",), is_replaced=overwrite)
        names = protocol_names() if protocol == _ALL else [protocol]
        protocols = [read_protocol(name) for name in names]
        metrics = list(dict.fromkeys(("psnr", "ssim", *(metric or ()))))
        matched = match_folders(restored, clean)
        scored = list(score_pairs(matched.pairs, protocols, [name for name in metrics if name != _FID]))
        lines = [as_markdown(scored, protocols), "", f"{len(scored)} photo{'s' * (len(scored) != 1)}"]
        if _FID in metrics:
            lines[-1] += f", FID {frechet_distance(matched.pairs):.2f}"
        sys.stdout.write("\n".join(lines) + "\n")  # before the file, so that no file can lose them
        if out:
            write_scores(scored, out)
    _list_alone(matched, restored, clean)


def _list_alone(matched: "Matched", restored: Path, clean: Path) -> None:
    for alone, folder, other in (
        (matched.clean_alone, clean, restored),
        (matched.restored_alone, restored, clean),
    ):
        if alone:
            shown = ", ".join(alone[:5]) + (f" and {len(alone) - 5} more" if len(alone) > 5 else "")
            sys.stderr.write(f"dino-ir: {folder} has {shown}, which {other} has not\n")
    if matched.clean_alone or matched.restored_alone:
        raise typer.Exit(FAILED)
