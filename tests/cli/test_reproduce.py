"""The verb that reproduces tables."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TWO = """
title = "Two arms"
columns = ["noise"]
control = "a"
[small]
recipe = "guidance_tiny"
benchmarks = ["bsd_val32_noise25"]
[paper]
recipe = "guidance_tiny"
benchmarks = ["bsd_val32_noise25"]
[[arm]]
name = "a"
title = "A"
small = { settings = ['restorer.level_fusion={name="none"}'] }
paper = { settings = ['restorer.level_fusion={name="none"}'] }
[[arm]]
name = "b"
title = "B"
small = {}
paper = {}
"""


@pytest.fixture
def run(folder, call):
    """Call the verb in a folder that has an experiment; its exit code, and all that was said."""
    (folder / "two.toml").write_text(TWO)
    return lambda *words: call("reproduce", *words)


def test_smoke_needs_no_photos_and_leaves_tables(run, folder):
    code, said = run("two.toml", "--scale", "smoke", "--recipes", ROOT / "recipes")

    assert code == 0
    assert "| B | " in said
    assert (folder / "runs" / "smoke" / "two" / "b" / "0" / "weights.safetensors").is_file()
    assert (folder / "runs" / "smoke" / "two" / "table.md").read_text() in said
    assert "| PSNR minus that of A | " in said

    code, said = run("two.toml", "--scale", "smoke", "--recipes", ROOT / "recipes", "--control", "b")

    assert code == 0
    assert "| PSNR minus that of B | " in said


def test_results_go_where_they_are_wanted(run, folder):
    words = ("two.toml", "--scale", "smoke", "--no-train", "--recipes", ROOT / "recipes")
    code, said = run(*words, "-o", "tables", "--runs", "elsewhere")

    assert code == 0
    assert "Not trained here, nor scored on all of this before, and left out: a/0, b/0." in said
    assert (folder / "tables" / "table.md").is_file()
    assert [path.name for path in (folder / "elsewhere").iterdir()] == ["photos"]


@pytest.mark.slow
def test_the_papers_scale_says_what_it_needs_and_begins_nothing(run, folder):
    words = ("two.toml", "--scale", "paper", "--recipes", ROOT / "recipes", "--device", "cpu")
    code, said = run(*words, "--data", folder)

    assert code == 0
    assert "B: 0 of 1 runs done; each:" in said
    assert "phase.1: " in said
    assert "Missing: benchmark bsd_val32_noise25: " in said
    assert "add --yes" in said
    assert not (folder / "runs").exists()


@pytest.mark.slow
def test_the_papers_scale_says_what_the_named_arms_need(run):
    words = ("two.toml", "--scale", "paper", "--recipes", ROOT / "recipes", "--device", "cpu")
    code, said = run(*words, "--only", "b/0")

    assert code == 0
    assert "B: 0 of 1 runs done; each:" in said
    assert "A: " not in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("table9",), "no experiment 'table9'; there are: guidance"),
        (("guidance", "--scale", "paper"), "no scale 'paper'; it has: smoke, small"),
        (("two.toml", "--control", "c"), "no arm 'c' that is trained, to compare with; there are: a, b"),
        (("two.toml", "--scale", "smoke"), "recipes/guidance_tiny.toml cannot be read"),
        (
            ("guidance", "--only", "sum", "--no-train"),
            "--only says what to train, --no-train that nothing is",
        ),
        (
            ("two.toml", "--scale", "paper", "--recipes", ROOT / "recipes", "--only", "c"),
            "nothing that is trained is called c; arms are a, b",
        ),
    ],
)
def test_wrong_usage_is_code_2_and_a_sentence(run, words, message):
    code, said = run(*words)

    assert code == 2
    assert message in said
