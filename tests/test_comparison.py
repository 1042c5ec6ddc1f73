from dataclasses import replace

import numpy as np
import pytest

from dino_ir.comparison import (
    ALL,
    Score,
    average,
    compare,
    differences_as_markdown,
    means_as_markdown,
    read_scores,
    write_differences,
    write_means,
    write_scores,
)
from dino_ir.errors import DataError
from dino_ir.experiment import Arm, Experiment

EXPERIMENT = Experiment(
    "two", "small", "Two", ["noise", "rain"], ["n", "r"], "a", [Arm("a", "Alone"), Arm("b", "Guided")], [0, 1]
)


def score(arm="a", seed=0, benchmark="n", image="x", psnr=30.0):
    return Score(arm, seed, benchmark, image, "auto", "d", "w", psnr, 0.9, 20.0, 0.5, 0.1)


def grid(arm, values, seed=0, benchmark="n"):
    return [score(arm, seed, benchmark, str(index), value) for index, value in enumerate(values)]


def test_a_shift_of_every_photo_is_the_difference_and_leaves_no_doubt():
    photos = [20.0, 25.0, 40.0]

    one, every = compare([*grid("a", photos), *grid("b", [p + 0.5 for p in photos])], "a")

    assert (one.arm, one.benchmark, every.benchmark) == ("b", "n", ALL)
    assert one.mean == pytest.approx(0.5)
    assert (one.low, one.high) == pytest.approx((0.5, 0.5))
    assert one.by_seed == pytest.approx({0: 0.5})


def test_the_interval_is_that_of_the_mean_of_many_photos():
    rng = np.random.default_rng(0)
    gains = rng.normal(0.3, 1.0, 400)

    row, _ = compare([*grid("a", np.zeros(400)), *grid("b", gains)], "a")

    half = 1.96 * gains.std() / 20  # of a normal mean
    assert (row.low, row.high) == pytest.approx((gains.mean() - half, gains.mean() + half), abs=0.02)


def test_only_what_both_have_is_compared():
    scores = [*grid("a", [1.0, 2.0]), *grid("b", [2.0, 4.0, 100.0]), *grid("b", [50.0], seed=1)]

    row, _ = compare(scores, "a")

    assert row.mean == pytest.approx(1.5)
    assert list(row.by_seed) == [0]


def test_seeds_are_averaged_for_a_photo_and_told_apart():
    scores = [*grid("a", [1.0, 1.0], 0), *grid("a", [1.0, 1.0], 1)]
    scores += [*grid("b", [2.0, 2.0], 0), *grid("b", [0.0, 0.0], 1)]

    row, _ = compare(scores, "a")

    assert row.by_seed == pytest.approx({0: 1.0, 1: -1.0})
    assert (row.mean, row.low, row.high) == pytest.approx((0, 0, 0))


def test_damaged_versions_of_a_photo_are_drawn_together():
    gains = [-1.0, 1.0] * 20
    apart = [str(index) for index in range(40)]
    noise = [*grid("a", [0.0] * 40), *grid("b", gains)]
    same = [replace(each, benchmark="r") for each in noise]
    other = [replace(each, benchmark="r", image=f"other {apart[int(each.image)]}") for each in noise]

    *_, together = compare([*noise, *same], "a")
    *_, independent = compare([*noise, *other], "a")

    assert together.high - together.low > 1.2 * (independent.high - independent.low)  # sqrt(2) of it


def test_all_benchmarks_weigh_the_same_whatever_their_size():
    scores = [*grid("a", [0.0] * 9), *grid("b", [1.0] * 9)]
    scores += [*grid("a", [0.0], benchmark="r"), *grid("b", [3.0], benchmark="r")]

    *_, every = compare(scores, "a")

    assert every.mean == pytest.approx(2.0)


def test_scores_survive_their_file(tmp_path):
    scores = [score(), score("b", 1, "r", 'a "name", with\nall', 31.25)]

    write_scores(scores, tmp_path / "scores.csv")

    assert read_scores(tmp_path / "scores.csv") == scores
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]


def test_several_files_after_one_another_are_read_as_one(tmp_path):
    path = tmp_path / "scores.csv"
    write_scores([score()], path)

    path.write_text(path.read_text() * 2)

    assert read_scores(path) == [score()] * 2


@pytest.mark.parametrize(
    "line",
    ["a,0,n,x,128", "a,zero,n,x,128,d,w,30,0.9,20,0.5,1", "a,0,n,x,128,d,w,30,0.9,20,0.5,1,2", "arm,psnr"],
)
def test_a_line_that_is_no_score_is_named(line, tmp_path):
    path = tmp_path / "scores.csv"
    write_scores([score()], path)

    path.write_text(path.read_text() + line)

    with pytest.raises(DataError, match=r"scores\.csv, line 3 is no score of 12 columns: take it out"):
        read_scores(path)


def test_a_file_of_other_columns_is_refused_and_none_is_no_scores(tmp_path):
    (tmp_path / "scores.csv").write_text("arm,psnr\na,3\n")

    with pytest.raises(DataError, match=r"scores\.csv has other columns than arm, seed, .*: move it away"):
        read_scores(tmp_path / "scores.csv")
    assert read_scores(tmp_path / "none.csv") == []


def test_tables_show_means_and_differences_under_the_columns():
    scores = [each for name in "nr" for arm, psnr in (("a", 30.0), ("b", 30.5)) for each in
              grid(arm, [psnr, psnr + 2], benchmark=name)]  # fmt: skip

    means = means_as_markdown(EXPERIMENT, scores, ["steps"], {"a": ["5"]}).splitlines()
    differences = differences_as_markdown(compare(scores, "a"), EXPERIMENT).splitlines()

    assert means[0] == "|  | noise | rain | mean | runs | steps |"
    assert means[2].startswith("| degraded input | 20.00 / 0.500 | 20.00 / 0.500 | 20.00 / 0.500 | – |")
    assert means[3] == "| Alone | 31.00 / 0.900 | 31.00 / 0.900 | 31.00 / 0.900 | 1 | 5 |"
    assert differences[2].startswith("| Guided | +0.50 [+0.50, +0.50] | +0.50 [+0.50, +0.50] |")
    assert average(scores) == pytest.approx((31.25, 0.9))


def test_the_papers_rows_stand_under_their_columns():
    table = replace(EXPERIMENT, columns=["blur"], benchmarks=["did_blur"], reported="dino_ir_6")

    lines = means_as_markdown(table, []).splitlines()

    assert lines[2] == "| Restormer, blur alone (reported) | 32.08 / 0.902 | 32.08 / 0.902 | – |"


def test_a_doubted_print_is_marked_and_no_mean_is_taken_of_it():
    names = ["rain100h_full", "rain100l", "bsd68_noise100"]
    table = replace(EXPERIMENT, columns=names, benchmarks=names, reported="dino_ir_4")

    lines = means_as_markdown(table, []).splitlines()

    cells = "23.22 / 0.702 | 23.22? / 0.702? | 23.71 / 0.683 | –"
    assert lines[2] == f"| AirNet (reported) | {cells} | – |"


def test_a_printed_average_is_taken_where_there_is_one():
    names = ["sots_outdoor", "rain100l", "bsd68_noise15", "bsd68_noise25", "bsd68_noise50"]
    table = replace(EXPERIMENT, columns=names, benchmarks=names, reported="p3")

    lines = means_as_markdown(table, []).splitlines()

    (measnet,) = (line for line in lines if line.startswith("| MEASNet (reported) |"))
    assert measnet.endswith("| 32.85 / 0.919 | – |")  # the mean of its cells is 32.88
    assert "| R2R (reported) | – | – | – | – | – | 32.53 | – |" in lines


def test_csv_files_have_a_line_for_each_mean_and_each_difference(tmp_path):
    scores = [*grid("a", [1.0, 3.0]), *grid("b", [2.0, 4.0]), *grid("a", [1.0], 1)]

    write_means(scores, tmp_path / "means.csv")
    write_differences(compare(scores, "a"), tmp_path / "differences.csv")

    assert (tmp_path / "means.csv").read_text().splitlines()[1:] == [
        "a,0,n,2,2,0.9",
        "b,0,n,2,3,0.9",
        "a,1,n,1,1,0.9",
    ]
    assert (tmp_path / "differences.csv").read_text().splitlines() == [
        "arm,benchmark,psnr,low,high,seed_0",
        "b,n,1,1,1,1",
        "b,all,1,1,1,1",
    ]
