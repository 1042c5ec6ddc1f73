"""Means, and paired changes, are of the rows that two restorers share."""

import csv
import runpy
import sys
from pathlib import Path

import pytest

MEANS = Path(__file__).parents[2] / "bench" / "means.py"


def write(folder, name, scores, told=False, undamaged=False):
    """Rows of a benchmark as `dino-ir evaluate` writes them, as far as the bench reads them."""
    folder.mkdir(exist_ok=True)
    with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(
            ["image", "picture", "benchmark_digest", "protocol", "psnr", "input_psnr", "told"],
        )
        for index, score in enumerate(scores):
            before = "inf" if undamaged else "20"
            rows.writerow([f"photo{index}", f"sha{index}", "digest", "default", score, before, told])


def run(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", [str(MEANS), *map(str, words)])
    runpy.run_path(str(MEANS), run_name="__main__")
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def folders(tmp_path):
    write(tmp_path / "before", "noise", [30, 32])
    write(tmp_path / "now", "noise", [31, 31.5])
    write(tmp_path / "now", "rain", [25])
    return tmp_path / "before", tmp_path / "now"


def test_a_restorer_that_was_not_scored_there_has_a_dash_and_one_that_was_told_a_star(
    folders, tmp_path, monkeypatch, capsys
):
    write(tmp_path / "told", "noise", [40, 41], told=True)

    lines = run(monkeypatch, capsys, *folders, tmp_path / "told")

    assert lines == [
        "| benchmark | photos | before | now | told |",
        "|---|---:|---:|---:|---:|",
        "| noise | 2 | 31.00 | 31.25 | 40.50* |",
        "| rain | 1 | – | 25.00 | – |",
    ]


def test_a_pair_is_compared_photo_by_photo_where_both_were_scored(folders, monkeypatch, capsys):
    lines = run(monkeypatch, capsys, *folders, "--paired")

    assert lines[2:] == [
        "| noise | 31.00 | 31.25 | +0.25 | -0.50 |",
        "",
        "Damaged photos: +0.25 dB in the mean of 1 benchmarks; 1 are better.",
    ]


def test_undamaged_photos_do_not_count_in_the_mean_of_the_damaged(folders, tmp_path, monkeypatch, capsys):
    write(tmp_path / "before", "clean", [60], undamaged=True)
    write(tmp_path / "now", "clean", [50], undamaged=True)

    lines = run(monkeypatch, capsys, *folders, "--paired")

    assert "| clean | 60.00 | 50.00 | -10.00 | -10.00 |" in lines
    assert lines[-1].startswith("Damaged photos: +0.25 dB in the mean of 1 benchmarks")


def test_other_photos_are_not_compared(folders, monkeypatch, capsys):
    write(folders[1], "noise", [31])

    with pytest.raises(SystemExit, match=r"noise\.csv: the two folders have other photos"):
        run(monkeypatch, capsys, *folders, "--paired")
