import math
from dataclasses import replace

import pytest
import torch

from dino_ir.benchmark import Benchmark
from dino_ir.contracts import Pair
from dino_ir.degradations.gaussian_noise import GaussianNoise
from dino_ir.evaluation import METRICS, Row, as_markdown, compare, evaluate, interval, mean, score_image
from dino_ir.metrics.psnr import PSNR
from dino_ir.metrics.ssim import SSIM
from dino_ir.protocol import Protocol, read_protocol
from dino_ir.restorers.identity import Identity

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


def test_only_the_images_asked_for_are_scored():
    assert [row.image for row in evaluate(Identity(), DARKENED, METRICS, indices=[1])] == ["photo1"]


def test_an_image_is_scored_with_its_pictures():
    row, degraded, restored, clean = score_image(Identity(), DARKENED, 1)

    (expected,) = evaluate(Identity(), DARKENED, indices=[1])
    assert (row.image, row.scores) == (expected.image, expected.scores)
    torch.testing.assert_close((degraded, clean), DARKENED.images(1)[1:])
    torch.testing.assert_close(restored, degraded, rtol=0, atol=0.5 / 255)  # rounded, as it was scored


def test_a_row_has_the_time_and_the_memory_that_restoring_took():
    (row, _) = evaluate(Identity(), DARKENED, METRICS)

    assert row.seconds > 0
    assert row.memory is None or row.memory > 2**20  # a process holds that much; not every system says


def test_psnr_and_ssim_are_columns_by_our_own_protocol():
    assert {"psnr": PSNR(), "ssim": SSIM()} == METRICS


# --- protocols --------------------------------------------------------------------------------


class AddNoise(Identity):
    """A restorer that errs by less than 8 bits can say, and by more in the outermost pixels."""

    def forward(self, degraded, view=None):
        restored = degraded + 0.2 + 0.4 / 255
        restored[..., :4, :] = 0
        return restored


def test_scores_are_taken_by_the_benchmarks_protocol():
    bordered = replace(DARKENED, protocol=Protocol(border=4))
    unrounded = replace(DARKENED, protocol=Protocol(border=4, rounding="none"))

    assert all(row.scores["psnr"] < 30 for row in evaluate(AddNoise(), DARKENED))
    assert all(row.scores["psnr"] == math.inf for row in evaluate(AddNoise(), bordered, {"psnr": PSNR()}))
    for row in evaluate(AddNoise(), unrounded, {"psnr": PSNR()}):
        assert row.scores["psnr"] == pytest.approx(-20 * math.log10(0.4 / 255), abs=0.01)


def test_without_metrics_ssim_is_the_protocols():
    uniform = replace(DARKENED, protocol=read_protocol("reside"))

    for index, row in enumerate(evaluate(Identity(), uniform)):
        _, degraded, clean = uniform.images(index)
        assert row.scores["ssim"] == float(SSIM("uniform", is_unbiased=True)(degraded[None], clean[None]))


def test_an_image_too_small_for_a_metric_scores_no_number():
    image = torch.zeros(1, 3, 8, 8)

    scores = compare(image, image + 0.5, METRICS)

    assert scores["psnr"] == pytest.approx(6.02, abs=0.01)
    assert math.isnan(scores["ssim"])


# --- means ------------------------------------------------------------------------------------


def test_the_mean_is_over_images():
    average = mean(ROWS)

    assert average == Row("mean", {"psnr": 31.0}, {"psnr": 20.5}, 2.0)


def test_the_mean_is_told_if_one_image_was():
    assert mean([ROWS[0], replace(ROWS[1], is_told=True)]).is_told


def test_the_mean_is_taken_as_the_protocol_says():
    average = mean(ROWS, Protocol(averaging="errors"))

    assert average.scores["psnr"] == pytest.approx(-10 * math.log10((10**-3.0 + 10**-3.2) / 2))


def test_the_most_memory_is_that_of_the_hungriest_image():
    assert mean([replace(ROWS[0], memory=5), replace(ROWS[1], memory=7)]).memory == 7


def test_an_interval_is_as_wide_as_the_normal_distribution_says():
    scores = (30 + torch.randn(400, generator=torch.Generator().manual_seed(0), dtype=torch.double)).tolist()

    low, high = interval(scores)

    width = 2 * 1.96 * torch.tensor(scores).std().item() / 20
    assert high - low == pytest.approx(width, rel=0.1)
    assert low < sum(scores) / 400 < high
    assert interval(scores) == (low, high)


@pytest.mark.parametrize("scores", [[30.0], [30.0, math.inf], [30.0, math.nan]])
def test_there_is_no_interval_of_one_score_or_of_no_number(scores):
    assert all(math.isnan(end) for end in interval(scores))


def test_images_that_are_alike_leave_no_doubt():
    assert interval([30.0] * 5) == (30, 30)


# --- tables -----------------------------------------------------------------------------------


def test_the_table_has_a_line_per_benchmark():
    table = as_markdown({"noise": ROWS, "rain": ROWS[:1]}).splitlines()

    assert table[0] == "| benchmark | images | input PSNR | restored PSNR | 95 % | gain in PSNR |"
    assert table[2] == "| noise | 2 | 20.50 | 31.00 | 30.00 to 32.00 | +10.50 |"
    assert table[3] == "| rain | 1 | 20.00 | 30.00 | – | +10.00 |"


def test_the_table_says_where_the_restorer_was_told_and_how_scores_were_taken():
    told = [replace(ROWS[0], is_told=True)]
    rows = {"noise": ROWS, "blur": told, "rain": ROWS, "haze": told}
    protocols = {"rain": read_protocol("promptir"), "haze": read_protocol("reside")}

    table = as_markdown(rows, protocols).splitlines()

    assert [line.split(" | ")[0] for line in table[2:]] == [
        "| noise",
        "| blur (restorer told)",
        "| rain (by promptir)",
        "| haze (by reside, restorer told)",
    ]


def test_the_table_shows_no_gain_over_a_perfect_input():
    perfect = Row("a", {"psnr": 40.0}, {"psnr": math.inf}, 1.0)

    assert as_markdown({"clean": [perfect]}).splitlines()[2] == "| clean | 1 | inf | 40.00 | – | – |"


def test_the_table_has_a_dash_where_there_is_no_number():
    small = Row("a", {"psnr": 40.0, "ms_ssim": math.nan}, {"psnr": 30.0, "ms_ssim": math.nan}, 1.0)

    table = as_markdown({"small": [small], "other": ROWS[:1]}).splitlines()

    assert table[0].endswith("| input MS-SSIM | restored MS-SSIM | 95 % | gain in MS-SSIM |")
    assert table[2].endswith("| +10.00 | – | – | – | – |")
    assert table[3].endswith("| +10.00 | – | – | – | – |")
