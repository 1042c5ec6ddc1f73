import math
from dataclasses import replace

import pytest
import torch

from dino_ir.benchmark import Benchmark
from dino_ir.contracts import Pair, Restorer
from dino_ir.errors import RecipeError
from dino_ir.files.images import Photo, read_rgb, write_photo
from dino_ir.validation import Validation

BENCHMARK = """
title = "Toy"
task = "denoise"
dataset = { name = "clean_folder", root = "photos" }
degradation = { name = "gaussian_noise", sigma = 25 }
"""
CLEAN = torch.full((3, 20, 24), 200, dtype=torch.uint8)
DARKENED = Benchmark("pairs", "enlighten", [Pair("a", CLEAN, CLEAN - 51), Pair("b", CLEAN, CLEAN - 102)])


class Gain(Restorer):
    """Leaves the image as it is; its one weight says where it lives."""

    multiple_of = 1

    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(()))

    def forward(self, degraded, view=None):
        return degraded * self.gain


@pytest.fixture
def data(tmp_path):
    """A data folder with three photos and a benchmark of them."""
    (tmp_path / "photos").mkdir()
    for name in "abc":
        write_photo(tmp_path / f"photos/{name}.png", Photo(torch.rand(3, 20, 24)))
    (tmp_path / "toy.toml").write_text(BENCHMARK)
    return tmp_path


def test_the_score_is_the_mean_over_the_photos(tmp_path):
    validation = Validation({"dark": (DARKENED, 2)}, tmp_path)

    scores = validation(Gain(), 7)

    expected = (-20 * math.log10(0.2) - 20 * math.log10(0.4)) / 2
    expected = pytest.approx(expected, abs=1e-3)
    assert scores == {"psnr_dark": expected, "psnr_enlighten": expected}


def test_the_score_of_a_task_is_the_mean_over_its_benchmarks(tmp_path):
    other = replace(DARKENED, task="other")

    scores = Validation({"one": (DARKENED, 1), "both": (DARKENED, 2), "three": (other, 1)}, tmp_path)(
        Gain(), 7
    )

    assert scores["psnr_enlighten"] == pytest.approx((scores["psnr_one"] + scores["psnr_both"]) / 2)
    assert scores["psnr_other"] == scores["psnr_three"]


def test_a_sheet_is_left_for_every_step(tmp_path):
    Validation({"dark": (DARKENED, 1), "again": (DARKENED, 1)}, tmp_path)(Gain(), 1200)

    height, width = read_rgb(tmp_path / "step_0001200.jpg").shape[1:]
    assert height >= 2 * 20
    assert width >= 3 * 24


def test_a_product_that_restores_nothing_has_no_score(tmp_path):
    assert Validation({"dark": (DARKENED, 1)}, tmp_path)(torch.nn.Linear(2, 2), 1) == {}
    assert Validation({}, tmp_path)(Gain(), 1) == {}


def test_tables_name_a_benchmark_and_how_many_photos(data):
    path = str(data / "toy.toml")

    limited = Validation.read([{"benchmark": path, "limit": 2}], data, data)
    more_than_there_are = Validation.read([{"benchmark": path, "limit": 9}], data, data)

    assert limited.benchmarks["toy"][1] == 2
    assert more_than_there_are.benchmarks["toy"][1] == 3


def test_a_benchmark_that_is_none_is_refused(data):
    with pytest.raises(RecipeError, match="no benchmark 'absent'; there are: "):
        Validation.read([{"benchmark": "absent"}], data, data)
