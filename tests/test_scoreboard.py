from dataclasses import replace

import pytest

from dino_ir.benchmark import Benchmark
from dino_ir.evaluation import Row
from dino_ir.protocol import OURS, read_protocol
from dino_ir.reported import reported_for, reported_table
from dino_ir.scoreboard import as_text, beside_averages, beside_reported, differences, left_out
from dino_ir.scoring import Scores

ROWS = [Row(name, {"psnr": 31.5, "ssim": 0.8915}, {"psnr": 20.0, "ssim": 0.5}, 1.0) for name in "ab"]
PROMPTIR = read_protocol("promptir")
BSD68 = Benchmark("BSD68", "denoise", [], protocol=PROMPTIR, expected=2, shared="sets", is_shipped=True)
ANOTHER = replace(PROMPTIR, color="luma")
(ROW,) = (row for row in reported_table("p3").rows if row[:2] == ("PromptIR", "bsd68_noise25"))


def lines_of(text):
    """The lines of a table, below its head."""
    return [line for line in text.splitlines() if line.startswith("| ")][2:]


def line_of(text, restorer):
    (line,) = (line for line in text.splitlines() if line.startswith(f"| {restorer} |"))
    return line


@pytest.mark.parametrize(
    ("protocol", "expected", "reasons"),
    [
        (PROMPTIR, 68, []),
        (PROMPTIR, None, ["number of photos not known"]),
        (PROMPTIR, 100, ["ours is of 68 of 100 photos"]),
        (ANOTHER, 68, ["scored by promptir, ours by another promptir"]),
        (OURS, 68, ["scored by promptir, ours by default"]),
        (OURS, 100, ["ours is of 68 of 100 photos", "scored by promptir, ours by default"]),
    ],
)
def test_scores_compare_where_photos_and_protocol_are_the_same(protocol, expected, reasons):
    benchmark = replace(BSD68, protocol=protocol, expected=expected)

    assert differences(benchmark, 68, ROW) == reasons


def test_scores_by_a_file_of_the_users_own_compare_with_none():
    assert differences(replace(BSD68, is_shipped=False), 2, ROW) == [
        "ours is by another file than the package's"
    ]


def test_scores_compare_with_none_that_the_table_says_differs_or_that_is_doubted():
    assert differences(BSD68, 2, ROW._replace(differs="another setting")) == ["another setting"]
    assert differences(BSD68, 2, ROW._replace(is_doubtful=True)) == ["the print is doubted"]
    assert all("blurred" in differences(BSD68, 2, each)[0] for each in reported_for("did_blur"))


def test_scores_compare_with_none_whose_protocol_nobody_says():
    (row, *_) = (row for row in reported_for("raindrop") if not row.protocol)

    assert differences(BSD68, 2, row) == ["how it was scored is not said"]


def test_ours_stands_in_its_place_among_the_others():
    text = beside_reported("bsd68_noise25", BSD68, ROWS, "mine")

    scores = [float(line.split(" | ")[1]) for line in lines_of(text)]
    assert scores == sorted(scores, reverse=True)
    assert line_of(text, r"**mine**").startswith("| **mine** | 31.50 | 0.89")
    assert text.startswith("**BSD68**, photos: 2, scored by promptir.\nShares photos with training: sets.\n")


def test_what_is_said_of_a_table_is_said_once():
    text = beside_reported("bsd68_noise25", BSD68, ROWS, "mine")

    for name in ("p3", "p5", "dino_ir_1", "dino_ir_2", "dino_ir_3"):
        table = reported_table(name)
        assert text.count(f'\n"{table.title}": {table.note}.\n') == 1


def test_a_doubted_print_has_a_mark():
    text = beside_reported("rain100l", BSD68, ROWS, "mine")

    assert [line.split(" | ")[1:3] for line in lines_of(text) if "23.22" in line] == [["23.22?", "0.702?"]]


def test_what_compares_is_marked_too():
    assert line_of(
        beside_reported("daclip_rainy", replace(BSD68, protocol=read_protocol("daclip")), ROWS, "x"), "MAXIM"
    ).endswith("| yes |")


def test_what_does_not_compare_is_marked():
    text = beside_reported("bsd68_noise25", BSD68, ROWS[:1], "mine")

    others = [line for line in lines_of(text) if "**mine**" not in line]
    assert all("not comparable: ours is of 1 of 2 photos" in line for line in others)


def test_columns_that_nobody_has_are_left_out():
    with_distances = beside_reported("daclip_rainy", BSD68, ROWS, "mine")
    without = beside_reported("bsd68_noise25", BSD68, ROWS, "mine")

    assert "| LPIPS | FID |" in with_distances
    assert "LPIPS" not in without


def scores_of(names, rows=ROWS):
    return Scores(dict.fromkeys(names, BSD68), dict.fromkeys(names, rows), {}, {})


def test_our_average_stands_among_those_of_a_table_that_is_scored_whole():
    p3 = reported_table("p3")
    scores = scores_of(p3.benchmarks)
    lower = [replace(row, scores={"psnr": 36.5, "ssim": 0.9415}) for row in ROWS]
    scores.rows["rain100l"] = lower

    text = beside_averages(p3, scores, "mine")

    assert text.startswith("**Average over sots_outdoor, rain100l, ")
    assert line_of(text, "**mine**").startswith("| **mine** | 32.50 | 0.90")
    assert line_of(text, "R2R").startswith("| R2R | 32.53 |")
    assert line_of(text, "PromptIR").endswith("| yes |")
    assert len(lines_of(text)) == len(p3.averages) + 1
    assert text in as_text(scores, "mine")


def test_an_average_compares_where_each_of_its_benchmarks_does():
    p3 = reported_table("p3")
    scores = scores_of(p3.benchmarks)
    scores.rows["rain100l"] = ROWS[:1]

    text = beside_averages(p3, scores, "mine")

    assert line_of(text, "PromptIR").endswith("| not comparable: ours is of 1 of 2 photos |")


def test_a_table_that_is_not_scored_whole_or_prints_no_average_shows_none():
    assert beside_averages(reported_table("p3"), scores_of(["rain100l"]), "mine") == ""
    two = reported_table("dino_ir_2")
    assert beside_averages(two, scores_of(two.benchmarks), "mine") == ""


def test_nothing_reported_is_nothing_shown():
    assert beside_reported("mine", BSD68, ROWS, "mine") == ""


def test_the_text_is_our_table_and_what_is_reported():
    scores = Scores({"mine": BSD68, "bsd68_noise25": BSD68}, {"mine": ROWS, "bsd68_noise25": ROWS}, {}, {})

    table, *reported = as_text(scores, "mine").split("\n\n")

    assert table.splitlines()[2].startswith("| BSD68 (by promptir) | 2 |")
    assert len(reported) == 2  # its heading and its table


def test_what_ran_the_restorer_is_said_where_it_is_not_as_ever():
    scores = Scores({"bsd68_noise25": BSD68}, {"bsd68_noise25": ROWS}, {}, {}, "onnx in float32")

    text = as_text(scores, "mine")

    assert "\n\nRun by onnx in float32.\n\n**BSD68**" in text
    assert line_of(text, r"**mine, onnx in float32**")


def test_what_was_left_out_is_said_once_for_each_reason():
    scores = Scores(
        {}, {}, {"a": "https://x", "b": "https://y", "c": "https://x"}, {"d": "no blur", "e": "no blur"}
    )

    assert left_out(scores) == [
        "not here: a, c, from https://x",
        "not here: b, from https://y",
        "name one of these to be told what goes where",
        "not scored: d, e: no blur",
    ]
    assert left_out(Scores({}, {}, {}, {})) == []
