"""The verb that scores restorers on benchmarks."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from dino_ir.arguments import DataOption, DeviceOption, RestorerOption, TileOption, WeightsOption, out_option
from dino_ir.terminal import console, plain_errors

__all__ = ["evaluate"]


def evaluate(
    benchmarks: Annotated[
        list[str],
        typer.Argument(
            metavar="BENCHMARK", help="Names, TOML files, or all; a wrong name lists those there are."
        ),
    ],
    weights: WeightsOption = "default",
    restorer: RestorerOption = None,
    data: DataOption = None,
    out: Annotated[
        Path | None,
        out_option("DIR", "Folder for a CSV per benchmark and the table."),
    ] = None,
    device: DeviceOption = "auto",
    tile: TileOption = "auto",
) -> None:
    """Score a restorer on benchmarks, beside the degraded input. Prints a Markdown table."""
    with plain_errors():
        from dino_ir.benchmark import benchmark_names, read_benchmarks
        from dino_ir.catalog import build, read_table
        from dino_ir.evaluation import METRICS, as_markdown, write_results
        from dino_ir.evaluation import evaluate as score_benchmark
        from dino_ir.inference import load

        names = benchmark_names() if benchmarks == ["all"] else benchmarks
        read = read_benchmarks(names, data)
        subject = build("restorers", read_table(restorer)).eval() if restorer else load(weights, device)
        results = {}
        for name, benchmark in read.items():
            with console.status(name):
                results[name] = list(score_benchmark(subject, benchmark, METRICS, tile))
        table = as_markdown({read[name].title: rows for name, rows in results.items()})
        if out:
            write_results(results, table, out)
    sys.stdout.write(table + "\n")
