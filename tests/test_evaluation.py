import csv
import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from PIL import Image

from dino_ir import evaluation
from dino_ir.contracts import Pair
from dino_ir.errors import DataError, RecipeError
from dino_ir.evaluation import (
    Benchmark,
    Row,
    as_markdown,
    benchmark_names,
    evaluate,
    mean,
    read_benchmark,
    with_root,
    write_results,
    write_rows,
)
from dino_ir.metrics.psnr import PSNR
from dino_ir.metrics.ssim import SSIM
from dino_ir.restorers.identity import Identity

SHIPPED = Path(evaluation.__file__).parent / "benchmarks"
METRICS = {"psnr": PSNR(), "ssim": SSIM()}
ROWS = [Row("a", {"psnr": 30.0}, {"psnr": 20.0}, 1.0), Row("b", {"psnr": 32.0}, {"psnr": 21.0}, 3.0)]
BENCHMARK = """
title = "Two photos"
task = "denoise"
seed = 3
dataset = { name = "clean_folder", root = "photos" }
degradation = { name = "gaussian_noise", sigma = 25 }
"""


def photo(seed=0):
    return torch.randint(256, (3, 17, 19), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


@dataclass
class Photos:
    """Two photos; `offset` says how much darker the degraded ones are, None that there are none."""

    offset: int | None = None
    reads: list[int] = field(default_factory=list)

    def __len__(self):
        return 2

    def __getitem__(self, index):
        clean = photo(index) // 2 + 100
        return Pair(f"photo{index}", clean, None if self.offset is None else clean - self.offset)


class Darker:
    """Every pixel darker by a drawn amount, between 0.1 and 0.2."""

    def draw(self, rng):
        return {"amount": 0.1 + 0.1 * float(torch.rand((), generator=rng))}

    def apply(self, images, parameters, depth=None):
        return images - torch.tensor([one["amount"] for one in parameters]).view(-1, 1, 1, 1)


class Undo(Identity):
    """The restorer that knows how much darker `Photos(51)` are."""

    def forward(self, degraded, view=None):
        return degraded + 0.2


def write_photos(folder):
    folder.mkdir(parents=True)
    for index in range(2):
        Image.fromarray(photo(index).movedim(0, 2).numpy()).save(folder / f"photo{index}.png")


def test_identity_scores_as_its_input_and_the_score_has_a_closed_form():
    rows = list(evaluate(Identity(), Benchmark("pairs", "enlighten", Photos(51)), METRICS))

    assert [row.image for row in rows] == ["photo0", "photo1"]
    for row in rows:
        assert row.scores["psnr"] == pytest.approx(-20 * math.log10(0.2), abs=1e-4)
        assert row.input_scores == pytest.approx(row.scores, abs=1e-6)


def test_a_perfect_restorer_scores_infinity():
    rows = list(evaluate(Undo(), Benchmark("pairs", "enlighten", Photos(51)), METRICS))

    assert all(row.scores["psnr"] == math.inf for row in rows)
    assert all(row.input_scores["psnr"] < 20 for row in rows)


def test_restored_images_are_rounded_to_8_bits_before_they_are_scored():
    class AlmostUndo(Identity):
        def forward(self, degraded, view=None):
            return degraded + 0.2 + 0.4 / 255

    rows = evaluate(AlmostUndo(), Benchmark("pairs", "enlighten", Photos(51)), METRICS)

    assert all(row.scores["psnr"] == math.inf for row in rows)


def test_an_image_always_gets_the_same_damage():
    benchmark = Benchmark("drawn", "enlighten", Photos(), Darker(), seed=5)

    _, first, _ = benchmark.images(1)

    benchmark.images(0)
    assert torch.equal(benchmark.images(1)[1], first)


def test_images_and_seeds_get_different_damage():
    def amount(seed, index):
        _, degraded, clean = Benchmark("drawn", "enlighten", Photos(), Darker(), seed).images(index)
        return round(float((clean - degraded).mean()), 6)

    amounts = {amount(0, 0), amount(0, 1), amount(1, 0), amount(1, 1)}

    assert len(amounts) == 4


def test_a_dataset_without_damage_needs_a_degradation():
    with pytest.raises(DataError, match="photo0 has no degraded image"):
        Benchmark("bare", "denoise", Photos()).images(0)


def test_the_mean_is_over_images():
    average = mean(ROWS)

    assert average == Row("mean", {"psnr": 31.0}, {"psnr": 20.5}, 2.0)


def test_rows_are_written_one_line_per_image(tmp_path):
    write_rows(ROWS, tmp_path / "rows.csv")

    with (tmp_path / "rows.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["image"] for line in lines] == ["a", "b"]
    assert [float(line["psnr"]) - float(line["input_psnr"]) for line in lines] == [10, 11]


def test_results_are_a_file_per_benchmark_and_a_table(tmp_path):
    write_results({"noise": ROWS, "my/rain.toml": ROWS}, "| table |", tmp_path / "results")

    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == [
        "noise.csv",
        "rain.csv",
        "table.md",
    ]
    assert (tmp_path / "results" / "table.md").read_text() == "| table |\n"


def test_the_table_has_a_line_per_benchmark():
    table = as_markdown({"noise": ROWS, "rain": ROWS[:1]}).splitlines()

    assert table[0] == "| benchmark | images | input PSNR | restored PSNR | gain in PSNR |"
    assert table[2] == "| noise | 2 | 20.50 | 31.00 | +10.50 |"
    assert table[3] == "| rain | 1 | 20.00 | 30.00 | +10.00 |"


def test_the_table_shows_no_gain_over_a_perfect_input():
    perfect = Row("a", {"psnr": 40.0}, {"psnr": math.inf}, 1.0)

    assert as_markdown({"clean": [perfect]}).splitlines()[2] == "| clean | 1 | inf | 40.00 | – |"


def test_the_data_folder_goes_before_every_relative_root(tmp_path):
    table = {"name": "x", "root": "a", "dataset": {"root": "b"}, "datasets": [{"root": "/c"}], "side": 3}

    completed = with_root(table, tmp_path)

    assert completed["root"] == str(tmp_path / "a")
    assert completed["dataset"] == {"root": str(tmp_path / "b")}
    assert completed["datasets"] == [{"root": "/c"}]
    assert table["root"] == "a"


def test_the_environment_names_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DINO_IR_DATA", str(tmp_path))

    assert with_root({"root": "a"}) == {"root": str(tmp_path / "a")}


def test_no_data_folder_is_said_so(tmp_path, monkeypatch):
    monkeypatch.delenv("DINO_IR_DATA", raising=False)

    with pytest.raises(DataError, match="--data DIR"):
        with_root({"root": "a"})
    with pytest.raises(DataError, match="no folder"):
        with_root({"root": "a"}, tmp_path / "nowhere")


def test_a_benchmark_is_read_from_a_file(tmp_path):
    write_photos(tmp_path / "photos")
    (tmp_path / "mine.toml").write_text(BENCHMARK)

    benchmark = read_benchmark(tmp_path / "mine.toml", tmp_path)

    rows = list(evaluate(Identity(), benchmark, METRICS))
    assert (benchmark.title, benchmark.task, benchmark.seed, len(rows)) == ("Two photos", "denoise", 3, 2)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("seed", "sead", "unknown key 'sead'"),
        ('title = "Two photos"', "title = 2", "title must be a str"),
        ('task = "denoise"', "", "task is missing"),
        ("sigma", "sigmas", "gaussian_noise"),
        ("seed = 3", "seed =", "is not TOML"),
    ],
)
def test_a_wrong_benchmark_is_refused(tmp_path, old, new, problem):
    write_photos(tmp_path / "photos")
    (tmp_path / "mine.toml").write_text(BENCHMARK.replace(old, new))

    with pytest.raises(RecipeError, match=problem):
        read_benchmark(tmp_path / "mine.toml", tmp_path)


def test_an_unknown_benchmark_lists_those_there_are():
    with pytest.raises(RecipeError, match=r"no benchmark 'rain'; there are: .*rain100h"):
        read_benchmark("rain")


@pytest.mark.parametrize("name", benchmark_names())
def test_every_benchmark_of_the_package_scores_an_identity(name, tmp_path):
    dataset = tomllib.loads((SHIPPED / f"{name}.toml").read_text())["dataset"]
    for folder in ("input", "target") if dataset["name"] == "paired_folder" else ("",):
        write_photos(tmp_path / dataset["root"] / folder)

    rows = list(evaluate(Identity(), read_benchmark(name, tmp_path), METRICS))

    assert [row.image for row in rows] == ["photo0", "photo1"]
    assert all(row.scores["psnr"] > 0 for row in rows)
