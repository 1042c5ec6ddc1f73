"""Benchmarks are scored once, whatever the number of processes and however often one stops."""

import json
import os
from dataclasses import replace

import pytest
import torch

from dino_ir import scoring
from dino_ir.catalog import build
from dino_ir.errors import DataError, DinoIRError, RecipeError, WeightsError
from dino_ir.files.images import Photo, write_photo
from dino_ir.files.weights import write_weights
from dino_ir.scoring import Job, Subject, score, score_benchmarks, workers

BENCHMARK = """
title = "Four photos"
task = "denoise"
dataset = { name = "clean_folder", root = "photos" }
degradation = { name = "gaussian_noise", sigma = 25 }
"""
PLAIN = {
    "name": "plain",
    "network": {"name": "nafnet", "width": 4, "encoder": [1], "middle": 1, "decoder": [1]},
}


@pytest.fixture
def job(tmp_path):
    """Four photos, and untrained weights of a tiny network to score on them."""
    (tmp_path / "photos").mkdir()
    for number in range(4):
        save(tmp_path / f"photos/{number}.png", number)
    torch.manual_seed(0)
    write_weights(tmp_path / "tiny.safetensors", build("restorers", PLAIN), {"restorer": PLAIN})
    (tmp_path / "four.toml").write_text(BENCHMARK)
    return Job(Subject(str(tmp_path / "tiny.safetensors")), str(tmp_path / "four.toml"), tmp_path)


@pytest.fixture(scope="module")
def pool():
    """Two processes, which take seconds to start."""
    with workers(2) as pool:
        yield pool


@pytest.fixture
def calls(monkeypatch):
    """The indices of images that are scored in this process."""
    seen = []
    original = scoring._score_one

    def counted(job, index):
        seen.append(index)
        return original(job, index)

    monkeypatch.setattr(scoring, "_score_one", counted)
    return seen


def save(path, seed):
    write_photo(path, Photo(torch.rand(3, 21, 23, generator=torch.Generator().manual_seed(seed))))


def scores(rows):
    return [(row.image, row.scores, row.input_scores, row.is_told) for row in rows]


def test_any_number_of_processes_gives_the_same_rows(job, pool):
    alone = score(job)

    shared = score(job, pool)

    assert scores(shared) == scores(alone)
    assert [row.image for row in alone] == ["0", "1", "2", "3"]


def test_any_number_of_threads_gives_the_same_rows_and_is_left_as_it_was(job):
    alone = score(job)

    torch.set_num_threads(3)
    try:
        assert scores(score(job)) == scores(alone)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)


def test_noise_that_goes_on_from_photo_to_photo_is_the_same_in_any_process(job, pool):
    job = replace(job, subject=Subject(restorer="identity"), protocol="promptir")

    assert scores(score(job, pool)) == scores(score(job))


def test_what_was_scored_is_not_scored_again(job, calls, tmp_path):
    first = score(job, folder=tmp_path / "out")
    lines = (tmp_path / "out/four.jsonl").read_text().splitlines()
    (tmp_path / "out/four.jsonl").write_text("\n".join(lines[:2]) + '\n{"index": 2')  # died while writing
    calls.clear()

    again = score(job, folder=tmp_path / "out")

    assert calls == [2, 3]
    assert [row.image for row in again] == [row.image for row in first]
    for row, other in zip(again, first):
        assert row.scores == pytest.approx(other.scores, abs=1e-6)


def test_new_pictures_new_weights_and_new_benchmarks_are_scored_anew(job, calls, tmp_path):
    score(job, folder=tmp_path / "out")

    save(tmp_path / "photos/1.png", seed=9)
    calls.clear()
    score(job, folder=tmp_path / "out")
    assert calls == [1]

    score(replace(job, protocol="reside"), folder=tmp_path / "out")
    assert calls == [1, 0, 1, 2, 3]

    calls.clear()
    score(replace(job, subject=Subject(restorer="identity")), folder=tmp_path / "out")
    score(replace(job, subject=Subject(restorer="identity")), folder=tmp_path / "out", is_anew=True)
    assert calls == [0, 1, 2, 3] * 2


def test_a_limit_takes_the_first_photos_and_leaves_the_files_of_all_alone(job, tmp_path):
    whole = score(job, folder=tmp_path / "out")

    some = score(replace(job, limit=2), folder=tmp_path / "out")
    more = score(replace(job, limit=9))

    assert [row.image for row in some] == ["0", "1"]
    assert scores(more) == scores(whole)
    assert len((tmp_path / "out/four.jsonl").read_text().splitlines()) == 4
    assert (tmp_path / "out/four_first2.csv").exists()


def test_every_row_names_what_was_scored_and_by_what(job, tmp_path):
    score(job, folder=tmp_path)

    lines = [json.loads(line) for line in (tmp_path / "four.jsonl").read_text().splitlines()]
    for line in lines:
        assert line["restorer_digest"] == job.subject.digest
        assert (line["protocol"], line["tile"], line["device"]) == ("default", "auto", line["device"])
        assert f"torch {torch.__version__}" in line["versions"]
    assert len({line["picture"] for line in lines}) == 4
    assert len({line["benchmark_digest"] for line in lines}) == 1


def test_progress_is_told_after_each_row(job, tmp_path):
    seen = []
    score(replace(job, limit=2), folder=tmp_path)

    score(replace(job, limit=3), folder=tmp_path, saw=lambda *numbers: seen.append(numbers))

    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_restorers_digest_is_of_its_table_and_of_the_files_it_names(tmp_path):
    file = tmp_path / "net.pth"
    file.write_bytes(b"1")
    subject = Subject(restorer=f'{{name="spandrel", weights="{file}"}}')
    first = subject.digest

    file.write_bytes(b"2")

    digests = {first, subject.digest, Subject(restorer="identity").digest, Subject(restorer="wiener").digest}
    assert len(digests) == 4
    assert Subject(restorer="identity").digest == Subject(restorer='{name="identity"}').digest


# --- several ----------------------------------------------------------------------------------


def test_several_benchmarks_are_scored_by_name(job, tmp_path):
    (tmp_path / "blur.toml").write_text(BENCHMARK.replace("Four photos", "Blur").replace("noise", "blur"))

    found = score_benchmarks(
        [job.benchmark, str(tmp_path / "blur.toml")], replace(job, limit=1), 1, tmp_path / "out"
    )

    assert [(name, len(rows)) for name, rows in found.rows.items()] == [("four", 1), ("blur", 1)]
    assert found.benchmarks["blur"].title == "Blur"
    assert not found.missing
    assert not found.failed


def test_of_all_those_are_scored_that_are_here_and_can_be(tmp_path):
    (tmp_path / "test/set5").mkdir(parents=True)
    save(tmp_path / "test/set5/a.png", 0)

    found = score_benchmarks(["all"], Job(Subject(restorer="wiener"), data=tmp_path))

    assert list(found.rows) == ["set5_blur"]
    assert found.failed.keys() == {"set5_noise15", "set5_noise25", "set5_noise50"}
    assert "wiener must know the blur" in found.failed["set5_noise15"]
    assert "bsd68_noise25" in found.missing


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"subject": Subject("absent")}, WeightsError),
        ({"subject": Subject(restorer="magic")}, RecipeError),
        ({"data": "nowhere"}, DataError),
        ({"protocol": "matlab"}, RecipeError),
        ({"metrics": ("psnr", "beauty")}, RecipeError),
    ],
)
def test_what_is_wrong_is_said(job, changes, problem):
    with pytest.raises(problem):
        score_benchmarks([job.benchmark], replace(job, **changes))


def test_a_process_that_died_is_said_so():
    with pytest.raises(DinoIRError, match="fewer workers"), workers(2) as pool:
        pool.submit(os._exit, 1).result()


def test_what_goes_wrong_in_another_process_is_said(job, pool):
    with pytest.raises(RecipeError, match="wiener must know the blur"):
        score(replace(job, subject=Subject(restorer="wiener")), pool)
