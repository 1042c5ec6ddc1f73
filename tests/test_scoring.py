"""Benchmarks are scored once, whatever the number of processes and however often one stops."""

import json
import re
from dataclasses import replace

import pytest
import pyvips
import torch

from dino_ir import scoring, subject
from dino_ir.catalog import build
from dino_ir.errors import DataError, DinoIRError, ImageError, RecipeError, WeightsError
from dino_ir.files.images import Photo, read_rgb, write_photo
from dino_ir.files.weights import write_weights
from dino_ir.scoring import Job, score, score_benchmarks
from dino_ir.subject import Subject
from dino_ir.workforce import workers

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

    def counted(job, is_shown, index):
        seen.append(index)
        return original(job, is_shown, index)

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
    score(replace(job, subject=Subject(restorer="identity")), folder=tmp_path / "other")
    score(replace(job, subject=Subject(restorer="identity")), folder=tmp_path / "other", is_anew=True)
    assert calls == [0, 1, 2, 3] * 2


def test_a_folder_has_one_restorer_unless_one_says_so(job, calls, tmp_path):
    (tmp_path / "first.toml").write_text(BENCHMARK.replace("Four", "First"))
    one, other = (replace(job, limit=1, subject=Subject(restorer=each)) for each in ("identity", "nl_means"))
    score(one, folder=tmp_path / "out")
    before = (tmp_path / "out/four_first1.jsonl").read_bytes()
    names = [str(tmp_path / "first.toml"), job.benchmark]
    calls.clear()

    with pytest.raises(DataError, match=r"rows of another restorer \(identity\): give another folder"):
        score_benchmarks(names, other, folder=tmp_path / "out")

    assert calls == []
    assert (tmp_path / "out/four_first1.jsonl").read_bytes() == before
    score_benchmarks(names, other, folder=tmp_path / "out", is_anew=True)
    assert '"restorer": "nl_means"' in (tmp_path / "out/four_first1.jsonl").read_text()
    assert calls == [0, 0]


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


# --- pictures ---------------------------------------------------------------------------------


@pytest.mark.parametrize("processes", [1, 2])
def test_each_photo_is_shown_with_its_row_and_three_pictures(job, pool, processes):
    shown = []

    rows = score(job, pool if processes == 2 else None, show=lambda row, shot: shown.append((row, shot)))

    assert [row for row, _shot in shown] == rows
    for number, (row, shot) in enumerate(shown):
        degraded, _restored, clean = (pyvips.Image.new_from_buffer(each, "") for each in shot.pictures)
        true = read_rgb(job.data / f"photos/{number}.png").movedim(0, 2).numpy().astype(float)
        assert shot.row is row
        assert (clean.width, clean.height) == (degraded.width, degraded.height) == (23, 21)
        assert abs(clean.numpy() - true).mean() < 12
        assert abs(degraded.numpy() - true).mean() > 15  # noise of sigma 25


def test_rows_that_are_kept_stay_though_their_photos_are_restored_again(job, calls, tmp_path):
    score(job, folder=tmp_path / "out")
    path = tmp_path / "out/four.jsonl"
    lines = path.read_text().splitlines()
    kept = [re.sub(r'"psnr": [\d.]+', '"psnr": 99.0', line) for line in lines[:3]]
    path.write_text("\n".join(kept) + "\n")
    calls.clear()
    shown, seen = [], []

    rows = score(
        job,
        folder=tmp_path / "out",
        saw=lambda *numbers: seen.append(numbers),
        show=lambda row, shot: shown.append((row.scores["psnr"], shot.row.scores["psnr"])),
    )

    assert calls == [0, 1, 2, 3]
    assert seen == [(number, 4) for number in range(5)]
    assert [row.scores["psnr"] == 99 for row in rows] == [True, True, True, False]
    assert [row == 99 for row, _now in shown] == [True, True, True, False]
    assert all(now < 40 for _row, now in shown)
    assert path.read_text().splitlines()[:3] == kept


def test_without_anyone_to_show_it_to_no_picture_is_made(job, monkeypatch):
    monkeypatch.setattr(scoring, "make_preview", lambda _picture: pytest.fail("made"))

    assert len(score(job)) == 4
    with pytest.raises(pytest.fail.Exception, match="made"):
        score(job, show=lambda _row, _shot: None)


def test_what_is_shown_of_several_has_the_title_and_the_name(job):
    shown = []

    score_benchmarks(
        [job.benchmark],
        replace(job, limit=1),
        show=lambda title, row, _shot: shown.append((title, row.image)),
    )

    assert shown == [("Four photos (four)", "0")]


# --- programs ---------------------------------------------------------------------------------


def by(job, backend, exact=False):
    return replace(job, subject=replace(job.subject, backend=backend, exact=exact))


def test_by_default_it_is_torch_in_float32_and_older_rows_were_too(job, calls, tmp_path):
    score(job, folder=tmp_path / "out")
    path = tmp_path / "out/four.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    said = {(line.pop("backend"), line.pop("precision"), line.pop("mirrored")) for line in lines}
    assert said == {("torch", "float32", "no")}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    calls.clear()

    score(by(job, "torch", exact=True), folder=tmp_path / "out")

    assert calls == []
    assert "bfloat16" not in (tmp_path / "out/four.csv").read_text()


def test_rows_of_another_program_or_precision_are_not_taken_for_ones_own(job, calls, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    exact = score(job, folder=tmp_path / "out")
    calls.clear()

    near = score(by(job, "torch"), folder=tmp_path / "out")
    score(by(job, "torch"), folder=tmp_path / "out")

    assert calls == [0, 1, 2, 3]
    assert scores(near) != scores(exact)
    assert [row.scores["psnr"] for row in near] == pytest.approx([r.scores["psnr"] for r in exact], abs=0.5)
    lines = [json.loads(line) for line in (tmp_path / "out/four.jsonl").read_text().splitlines()]
    assert {(line["backend"], line["precision"]) for line in lines} == {("torch", "bfloat16")}


def test_rows_of_mirrored_photos_and_of_photos_as_they_are_do_not_share_a_folder(job, tmp_path):
    mirrored = replace(job, subject=replace(job.subject, mirror=True))
    plain = score(job, folder=tmp_path / "out")

    with pytest.raises(DataError, match="has rows of photos as they are: give another folder"):
        score(mirrored, folder=tmp_path / "out")
    found = score_benchmarks([job.benchmark], mirrored, 1, tmp_path / "other")
    with pytest.raises(DataError, match="has rows of photos mirrored, too: give another folder"):
        score(job, folder=tmp_path / "other")

    assert scores(found.rows["four"]) != scores(plain)
    assert found.program == "torch in float32, each photo mirrored, too"
    lines = [json.loads(line) for line in (tmp_path / "other/four.jsonl").read_text().splitlines()]
    assert {line["mirrored"] for line in lines} == {"yes"}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    pytest.importorskip("onnxscript")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "package"), [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_programs_score_alike_on_any_number_of_processes(job, cache, tmp_path, backend, package):
    pytest.importorskip(package)
    exact = replace(by(job, backend, exact=True), tile=8, protocol="reside")  # which rounds nothing
    torch.set_num_threads(2)
    try:
        alone = score_benchmarks([job.benchmark], exact, 1, tmp_path / "out")
        shared = score_benchmarks([job.benchmark], exact, 2)
    finally:
        torch.set_num_threads(1)

    assert scores(alone.rows["four"]) == scores(shared.rows["four"])
    if backend == "openvino":  # which began to count sizes anew with each photo of 25 tiles
        assert scoring._restorer(exact.subject).run.count == 25
    for row, other in zip(alone.rows["four"], score(replace(job, tile=8, protocol="reside"))):
        assert row.scores == pytest.approx(other.scores, abs=1e-3)
    assert alone.program == f"{backend} in float32"
    line = json.loads((tmp_path / "out/four.jsonl").read_text().splitlines()[0])
    assert (line["backend"], line["precision"]) == (backend, "float32")


def test_auto_is_chosen_once_by_the_pixels_there_are_and_rows_name_the_choice(job, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(subject, "choose_backend", lambda _restorer, pixels: asked.append(pixels) or "torch")

    score_benchmarks([job.benchmark], replace(by(job, "auto", exact=True), limit=3), 1, tmp_path / "out")

    assert asked == [3 * 21 * 23]
    assert '"backend": "torch"' in (tmp_path / "out/four_first3.jsonl").read_text()


@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_what_has_no_weights_is_run_by_torch_in_float32(job, tmp_path, backend):
    job = replace(job, subject=Subject(restorer="identity", backend=backend, exact=False))

    found = score_benchmarks([job.benchmark], job, 1, tmp_path / "out")

    assert found.program == ""
    assert '"backend": "torch", "precision": "float32"' in (tmp_path / "out/four.jsonl").read_text()


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
        ({"protocol": "levin"}, ImageError),  # which leaves nothing of 23 x 21
        ({"subject": Subject(restorer="identity", backend="onnx")}, DinoIRError),
        ({"subject": Subject("default", backend="tpu")}, DinoIRError),
    ],
)
def test_what_is_wrong_is_said(job, changes, problem):
    with pytest.raises(problem):
        score_benchmarks([job.benchmark], replace(job, **changes))


def test_all_stands_alone(job):
    with pytest.raises(RecipeError, match=r"^all stands alone: "):
        score_benchmarks(["all", "set5_blur"], job)


def test_a_border_that_leaves_nothing_names_the_photo_and_its_size(job, tmp_path):
    (tmp_path / "wide.toml").write_text("border = 500\n")
    identity = Subject(restorer="identity")

    with pytest.raises(ImageError, match=r"^0: border 500 leaves nothing of 23 x 21$"):
        score(replace(job, subject=identity, protocol=str(tmp_path / "wide.toml")))


def test_what_goes_wrong_in_another_process_is_said(job, pool):
    with pytest.raises(RecipeError, match="wiener must know the blur"):
        score(replace(job, subject=Subject(restorer="wiener")), pool)
