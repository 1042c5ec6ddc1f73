import csv
import math
from dataclasses import replace

import pytest
import torch

from dino_ir import evaluation
from dino_ir.benchmark import Benchmark
from dino_ir.catalog import names
from dino_ir.contracts import Pair
from dino_ir.degradations.gaussian_noise import GaussianNoise
from dino_ir.evaluation import Row, as_markdown, evaluate, mean, write_results, write_rows
from dino_ir.metrics.psnr import PSNR
from dino_ir.metrics.ssim import SSIM
from dino_ir.restorers.identity import Identity

METRICS = {"psnr": PSNR(), "ssim": SSIM()}
ROWS = [Row("a", {"psnr": 30.0}, {"psnr": 20.0}, 1.0), Row("b", {"psnr": 32.0}, {"psnr": 21.0}, 3.0)]


def darkened_pair(index):
    """A photo and the same darker by 51 of 255, which no pixel is too dark for."""
    rng = torch.Generator().manual_seed(index)
    clean = torch.randint(100, 228, (3, 17, 19), generator=rng, dtype=torch.uint8)
    return Pair(f"photo{index}", clean, clean - 51)


DARKENED = Benchmark("pairs", "enlighten", [darkened_pair(0), darkened_pair(1)])


class Undo(Identity):
    """The restorer that knows how much darker the photos are."""

    def forward(self, degraded, view=None):
        return degraded + 0.2


def test_identity_scores_as_its_input_and_the_score_has_a_closed_form():
    rows = list(evaluate(Identity(), DARKENED, METRICS))

    assert [row.image for row in rows] == ["photo0", "photo1"]
    for row in rows:
        assert row.scores["psnr"] == pytest.approx(-20 * math.log10(0.2), abs=1e-4)
        assert row.input_scores == pytest.approx(row.scores, abs=1e-6)


def test_a_perfect_restorer_scores_infinity():
    rows = list(evaluate(Undo(), DARKENED, METRICS))

    assert all(row.scores["psnr"] == math.inf for row in rows)
    assert all(row.input_scores["psnr"] < 20 for row in rows)


def test_restored_images_are_rounded_to_8_bits_before_they_are_scored():
    class AlmostUndo(Identity):
        def forward(self, degraded, view=None):
            return degraded + 0.2 + 0.4 / 255

    rows = evaluate(AlmostUndo(), DARKENED, METRICS)

    assert all(row.scores["psnr"] == math.inf for row in rows)


class Told(Identity):
    """What may know the clean image gives it back, and keeps what it was given."""

    works_in_tiles = False

    def __init__(self, truth=None):
        super().__init__()
        self.truth = truth
        self.seen = []

    def told(self, truth):
        told = Told(truth)
        told.seen = self.seen
        return told

    def forward(self, degraded, view=None):
        self.seen.append(degraded)
        return self.truth.clean[None]


def test_a_restorer_is_told_the_truth_of_each_image():
    noise = GaussianNoise([5, 50])
    noisy = Benchmark("noisy", "denoise", DARKENED.dataset, noise, seed=2)
    restorer = Told()

    rows = list(evaluate(restorer, noisy, METRICS))

    assert [(row.scores["psnr"], row.is_told) for row in rows] == [(math.inf, True)] * 2
    for index, seen in enumerate(restorer.seen):
        _, degraded, clean = noisy.images(index)
        assert torch.equal(seen[0], degraded)
        assert torch.equal(seen * 255, (seen * 255).round())
        (part, parameters), *more = noisy.damage(index)
        assert (part, more) == (noise, [])
        assert torch.equal(noise.apply(clean[None], [parameters])[0], degraded)


def test_a_restorer_without_use_for_the_truth_is_not_told():
    assert not any(row.is_told for row in evaluate(Identity(), DARKENED, METRICS))


@pytest.mark.parametrize(("works_in_tiles", "pieces"), [(True, 2), (False, 1)])
def test_a_restorer_that_does_not_work_in_tiles_gets_the_whole_photo(monkeypatch, works_in_tiles, pieces):
    monkeypatch.setattr(Identity, "works_in_tiles", works_in_tiles)
    seen = []
    restorer = Identity()
    restorer.register_forward_pre_hook(lambda _module, given: seen.append(given[0].shape))

    next(iter(evaluate(restorer, DARKENED, METRICS, tile=17)))

    assert len(seen) == pieces


def test_every_metric_of_the_catalog_is_a_column():
    assert list(evaluation.METRICS) == names("metrics")
    assert evaluation.METRICS["psnr"] == PSNR()


def test_the_mean_is_over_images():
    average = mean(ROWS)

    assert average == Row("mean", {"psnr": 31.0}, {"psnr": 20.5}, 2.0)


def test_the_mean_is_told_if_one_image_was():
    assert mean([ROWS[0], replace(ROWS[1], is_told=True)]).is_told


def test_rows_are_written_one_line_per_image(tmp_path):
    write_rows([ROWS[0], replace(ROWS[1], is_told=True)], tmp_path / "rows.csv")

    with (tmp_path / "rows.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["image"], line["told"]) for line in lines] == [("a", "no"), ("b", "yes")]
    assert [float(line["psnr"]) - float(line["input_psnr"]) for line in lines] == [10, 11]


def test_results_are_a_file_per_benchmark_and_a_table(tmp_path):
    write_results({"noise": ROWS, "rain": ROWS}, "| table |", tmp_path / "results")

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


def test_the_table_says_where_the_restorer_was_told():
    table = as_markdown({"noise": ROWS, "blur": [replace(ROWS[0], is_told=True)]}).splitlines()

    assert [line.split(" | ")[0] for line in table[2:]] == ["| noise", "| blur (restorer told)"]


def test_the_table_shows_no_gain_over_a_perfect_input():
    perfect = Row("a", {"psnr": 40.0}, {"psnr": math.inf}, 1.0)

    assert as_markdown({"clean": [perfect]}).splitlines()[2] == "| clean | 1 | inf | 40.00 | – |"
