"""`dino-ir evaluate` and `dino-ir degrade`, as a user types them."""

import re

import pytest
import torch

from dino_ir.files.images import read_rgb

BENCHMARK = """
title = "Two photos"
task = "denoise"
dataset = { name = "clean_folder", root = "photos" }
degradation = { name = "gaussian_noise", sigma = 25 }
"""


def test_identity_scores_as_its_input(call, folder):
    (folder / "two.toml").write_text(BENCHMARK)

    code, output = call("evaluate", "two.toml", "--restorer", "identity", "--data", ".", "-o", "scores")

    heads, _line, row = ([cell.strip() for cell in line.split("|")[1:-1]] for line in output.splitlines())
    assert (code, heads[:2], row[:2]) == (0, ["benchmark", "images"], ["Two photos", "2"])
    # Noise of sigma 25, a little less of it for what is clipped.
    assert 20.1 < float(row[2]) < 22
    assert row[2] == row[3]
    assert sorted(path.name for path in (folder / "scores").iterdir()) == [
        "table.md",
        "two.csv",
        "two.jsonl",
    ]
    assert (folder / "scores/table.md").read_text() == output


def test_what_was_scored_is_not_scored_again_unless_one_says_so(call, folder):
    (folder / "two.toml").write_text(BENCHMARK)
    command = ["evaluate", "two.toml", "--restorer", "identity", "--data", ".", "-o", "scores"]
    first = call(*command)
    rows = folder / "scores/two.jsonl"
    doctored = re.sub(r'"psnr": [\d.]+', '"psnr": 99.0', rows.read_text())

    rows.write_text(doctored)
    again = call(*command)
    anew = call(*command, "--overwrite")

    assert "| 99.00 |" in again[1]
    assert anew == first


def test_the_folder_of_another_restorer_is_left_as_it_is_unless_one_says_so(call, folder):
    (folder / "two.toml").write_text(BENCHMARK)
    command = ["evaluate", "two.toml", "--data", ".", "-o", "scores", "--restorer"]
    call(*command, "identity")
    before = {path.name: path.read_bytes() for path in (folder / "scores").iterdir()}

    code, output = call(*command, "nl_means")

    assert code == 2
    assert re.fullmatch(
        r"dino-ir: scores/two\.jsonl has rows of another restorer \(identity\): give another folder, or .*\n",
        output,
    )
    assert {path.name: path.read_bytes() for path in (folder / "scores").iterdir()} == before
    assert call(*command, "nl_means", "--overwrite")[0] == 0


def test_a_border_that_leaves_nothing_is_refused(call, folder):
    (folder / "two.toml").write_text(BENCHMARK)
    (folder / "wide.toml").write_text("border = 500\n")

    said = call("evaluate", "two.toml", "--restorer", "identity", "--data", ".", "--protocol", "wide.toml")

    assert said == (1, "dino-ir: a: border 500 leaves nothing of 40 x 33\n")


def test_a_protocol_metrics_and_a_limit_may_be_chosen(call, folder):
    (folder / "two.toml").write_text(BENCHMARK)
    options = ["--protocol", "promptir", "--metric", "ms_ssim", "--limit", "1", "--data", "."]

    code, output = call("evaluate", "two.toml", "--restorer", "identity", *options)

    assert code == 0
    assert "| input MS-SSIM |" in output
    assert "| Two photos (by promptir) | 1 |" in output


def test_of_all_what_is_here_is_scored_and_what_is_missing_is_listed(call, folder):
    (folder / "test").mkdir()
    (folder / "photos").rename(folder / "test/set5")

    code, output = call("evaluate", "all", "--restorer", "identity", "--data", ".")
    failing = call("evaluate", "all", "--restorer", "wiener", "--data", ".")

    assert code == 0
    assert "| Set5, noise sigma 25 | 2 |" in output
    assert re.search(
        r"^not here: .*kodak24_noise25.*, from https://r0k\.us/graphics/kodak/$", output, re.MULTILINE
    )
    assert "name one of these to be told what goes where" in output
    assert failing[0] == 1
    assert re.search(r"^not scored: set5_noise15, .*: wiener must know the blur", failing[1], re.MULTILINE)
    assert "| Set5, Gaussian blur sigma 2.0 to 3.1 (restorer told) | 2 |" in failing[1]


def test_published_rows_are_beside_ours_and_marked(call, folder):
    (folder / "photos").rename(folder / "CBSD68")

    code, output = call("evaluate", "bsd68_noise25", "--restorer", "identity", "--data", ".")

    assert code == 0
    assert "**BSD68 in colour, noise sigma 25**, photos: 2 of 68, scored by promptir." in output
    assert re.search(
        r"^\| PromptIR \| 31\.31 \| 0\.888 .*not comparable: ours is of 2 of 68 photos", output, re.MULTILINE
    )
    assert re.search(r"^\| \*\*identity\*\* \| 20\.", output, re.MULTILINE)


def test_a_restorer_with_options_is_a_table(call, folder):
    (folder / "two.toml").write_text(BENCHMARK.replace("noise", "blur").replace("25", "2"))

    blind = call("evaluate", "two.toml", "--restorer", '{name="wiener", sigma=2}', "--data", ".")
    told = call("evaluate", "two.toml", "--restorer", "wiener", "--data", ".")

    assert told[1].replace(" (restorer told)", "") == blind[1] != told[1]


def test_weights_are_scored_too(call, folder, weights):
    (folder / "two.toml").write_text(BENCHMARK)

    code, output = call("evaluate", "two.toml", "--weights", weights, "--data", ".")

    assert code == 0
    assert "| Two photos | 2 |" in output


def test_the_page_has_every_photo_and_changes_no_row(call, folder, weights):
    (folder / "two.toml").write_text(BENCHMARK)
    command = ["evaluate", "two.toml", "--weights", weights, "--data", ".", "-o", "scores"]
    without = call(*command)
    rows = (folder / "scores/two.jsonl").read_bytes()

    again = call(*command, "--html", "pages/page.html")

    page = (folder / "pages/page.html").read_text()
    assert again == without
    assert (folder / "scores/two.jsonl").read_bytes() == rows
    assert f"Scores of {weights}" in page
    assert page.count('<article data-group="Two photos (two)">') == 2
    assert page.count('alt="clean"') == 2
    assert "earlier run" not in page
    assert [path.name for path in (folder / "pages").iterdir()] == ["page.html"]


def test_a_page_that_cannot_be_made_is_said_before_anything_is_scored(call, folder):
    (folder / "two.toml").write_text(BENCHMARK)
    command = ["evaluate", "two.toml", "--restorer", "identity", "--data", ".", "-o", "scores", "--html"]

    said = [call(*command, place) for place in ("photos", "photos/a.png")]

    assert [code for code, _output in said] == [2, 2]
    assert "dino-ir: photos is a folder; name a file for the page" in said[0][1]
    assert "dino-ir: photos/a.png does not end in .html" in said[1][1]
    assert not (folder / "scores").exists()


def test_scores_are_exact_unless_a_backend_is_named(call, folder, weights, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    (folder / "two.toml").write_text(BENCHMARK)

    def score(*options):
        command = ["evaluate", "two.toml", "--weights", weights, "--data", ".", "-o", "scores", "--overwrite"]
        code, output = call(*command, *options)
        assert code == 0
        return re.search(r"Run by (.*)\.", output), (folder / "scores/two.csv").read_text()

    plain, near, exact = score(), score("--backend", "auto"), score("--backend", "torch", "--exact")
    mirrored = score("--mirror")

    assert plain[0] is exact[0] is None
    assert near[0][1] == "torch in bfloat16"
    assert mirrored[0][1] == "torch in float32, each photo mirrored, too"
    assert [",torch,float32," in table for _run, table in (plain, near, exact)] == [True, False, True]
    assert near[1].count(",torch,bfloat16,") == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rain"], "no benchmark 'rain'; there are: "),
        (["rain100l", "--data", "."], "it is at https://www.icst.pku.edu.cn"),
        (["uieb", "--data", "."], "the pictures are from https://li-chongyi.github.io"),
        (["all", "--data", "."], "has the pictures of no benchmark"),
        (["two.toml", "--data", ".", "--protocol", "matlab"], "no protocol 'matlab'; there are: "),
        (
            ["two.toml", "--data", ".", "--restorer", "identity", "--metric", "beauty"],
            "no 'beauty' in metrics/",
        ),
        (["two.toml"], "--data DIR"),
        (["two.toml", "--data", ".", "--weights", "absent"], "no weights 'absent'"),
        (["two.toml", "--restorer", "identity", "--weights", "absent"], "give one of them"),
        (["two.toml", "--exact"], "--exact goes with --backend: without it scores are exact already"),
        (
            ["two.toml", "--data", ".", "--restorer", "wiener", "--mirror"],
            "mirror images are for weight files: score wiener without them",
        ),
        (
            ["two.toml", "--metric", "fid"],
            "fid compares folders, not photos: write photos by `dino-ir restore`",
        ),
        (["all", "set5_blur"], "all stands alone: give it without other benchmarks"),
        (["two.toml", "--data", ".", "--restorer", "plain"], "restorers/plain"),
        (["two.toml", "--data", ".", "--restorer", "magic"], "no 'magic' in restorers/"),
        (["two.toml", "--data", ".", "--restorer", "{name="], "{name= is not a TOML table"),
        (["two.toml", "--data", ".", "--restorer", "wiener"], "wiener must know the blur"),
        (
            ["two.toml", "--data", ".", "--restorer", "wiener", "--backend", "onnx"],
            "the backend onnx runs networks of weight files: score wiener without it, by torch",
        ),
    ],
)
def test_a_wrong_evaluation_is_one_sentence_and_code_2(call, folder, words, said):
    (folder / "two.toml").write_text(BENCHMARK)

    code, output = call("evaluate", *words)

    assert code == 2
    assert re.fullmatch(rf"dino-ir: .*{re.escape(said)}.*\n", output)


def test_a_sheet_per_photo_shows_its_damage(call, folder):
    options = ["--with", "gaussian_noise", "--with", '{name="rain", strength="heavy"}', "--columns", "2"]

    code, output = call("degrade", "photos/a.png", "absent.png", "photos/b.png", *options)

    assert code == 1
    assert [line.split()[0] for line in output.splitlines()] == [
        "photos/a.png",
        "absent.png",
        "photos/b.png",
        "2",
    ]
    height, width = read_rgb(folder / "degraded/b.png").shape[1:]
    assert height >= 2 * 33
    assert width >= 3 * 40


def test_an_unknown_degradation_is_code_2(call, folder):
    code, output = call("degrade", "photos/a.png", "--with", "gaussian_nose")

    assert code == 2
    assert output.startswith("dino-ir: no 'gaussian_nose' in degradations/; there are: ")
    assert len(output.splitlines()) == 1
