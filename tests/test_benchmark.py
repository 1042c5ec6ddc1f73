import tomllib
from pathlib import Path

import pytest
import torch
from PIL import Image

from dino_ir import benchmark as benchmark_module
from dino_ir.benchmark import Benchmark, benchmark_names, read_benchmark, read_benchmarks, with_root
from dino_ir.contracts import Pair
from dino_ir.degradations.chain import Chain
from dino_ir.degradations.choice import Choice
from dino_ir.degradations.gaussian_blur import GaussianBlur
from dino_ir.degradations.gaussian_noise import GaussianNoise
from dino_ir.errors import DataError, RecipeError

SHIPPED = Path(benchmark_module.__file__).parent / "benchmarks"
BENCHMARK = """
title = "Two photos"
task = "denoise"
seed = 3
dataset = { name = "clean_folder", root = "photos" }
degradation = { name = "gaussian_noise", sigma = 25 }
"""


def photo(seed):
    return torch.randint(256, (3, 17, 19), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


PHOTOS = [Pair("photo0", photo(0) // 2 + 100), Pair("photo1", photo(1) // 2 + 100)]


class Darker:
    """Every pixel darker by a drawn amount, between 0.1 and 0.2."""

    def draw(self, rng):
        return {"amount": 0.1 + 0.1 * float(torch.rand((), generator=rng))}

    def apply(self, images, parameters, depth=None):
        return images - torch.tensor([one["amount"] for one in parameters]).view(-1, 1, 1, 1)


def write_photos(folder):
    folder.mkdir(parents=True)
    for index in range(2):
        Image.fromarray(photo(index).movedim(0, 2).numpy()).save(folder / f"photo{index}.png")


def test_an_image_always_gets_the_same_damage():
    benchmark = Benchmark("drawn", "enlighten", PHOTOS, Darker(), seed=5)

    _, first, _ = benchmark.images(1)

    benchmark.images(0)
    assert torch.equal(benchmark.images(1)[1], first)


def test_images_and_seeds_get_different_damage():
    def amount(seed, index):
        _, degraded, clean = Benchmark("drawn", "enlighten", PHOTOS, Darker(), seed).images(index)
        return round(float((clean - degraded).mean()), 6)

    amounts = {amount(0, 0), amount(0, 1), amount(1, 0), amount(1, 1)}

    assert len(amounts) == 4


def test_the_damage_told_is_the_damage_done():
    blur, noise = GaussianBlur(), GaussianNoise([5, 50])
    benchmark = Benchmark("both", "mixture", PHOTOS, Chain([blur, Choice([noise])]), seed=4)

    parts = benchmark.damage(1)

    assert [part for part, _ in parts] == [blur, noise]
    _, degraded, clean = benchmark.images(1)
    done = clean[None]
    for part, parameters in parts:
        done = part.apply(done, [parameters])
    assert torch.equal(done[0], degraded)


def test_of_a_choice_only_the_one_that_was_drawn_is_told():
    blur, noise = GaussianBlur(), GaussianNoise(25)

    for weights, expected in (([1, 0], blur), ([0, 1], noise)):
        benchmark = Benchmark("one", "mixture", PHOTOS, Choice([blur, noise], weights))
        assert [part for part, _ in benchmark.damage(0)] == [expected]


def test_no_damage_is_told_where_the_dataset_has_it():
    assert Benchmark("pairs", "denoise", PHOTOS).damage(0) == []


def test_a_dataset_without_damage_needs_a_degradation():
    with pytest.raises(DataError, match="photo0 has no degraded image"):
        Benchmark("bare", "denoise", PHOTOS).images(0)


def test_the_data_folder_goes_before_every_relative_root(tmp_path):
    table = {"name": "x", "root": "a", "dataset": {"root": "b"}, "datasets": [{"root": "/c"}], "side": 3}

    completed = with_root(table, tmp_path)

    assert completed["root"] == str(tmp_path / "a")
    assert completed["dataset"] == {"root": str(tmp_path / "b")}
    assert completed["datasets"] == [{"root": "/c"}]
    assert table["root"] == "a"


def test_the_environment_names_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DINO_IR_DATA", str(tmp_path))

    assert with_root({"root": "a"}) == {"root": str(tmp_path / "a")}


def test_no_data_folder_is_said_so(tmp_path, monkeypatch):
    monkeypatch.delenv("DINO_IR_DATA", raising=False)

    with pytest.raises(DataError, match="--data DIR"):
        with_root({"root": "a"})
    with pytest.raises(DataError, match="no folder"):
        with_root({"root": "a"}, tmp_path / "nowhere")


def test_a_benchmark_is_read_from_a_file(tmp_path):
    write_photos(tmp_path / "photos")
    (tmp_path / "mine.toml").write_text(BENCHMARK)

    benchmark = read_benchmark(tmp_path / "mine.toml", tmp_path)

    assert (benchmark.title, benchmark.task, benchmark.seed) == ("Two photos", "denoise", 3)
    assert [benchmark.images(index)[0] for index in range(len(benchmark.dataset))] == ["photo0", "photo1"]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("seed", "sead", "unknown key 'sead'"),
        ('title = "Two photos"', "title = 2", "title must be a str"),
        ('task = "denoise"', "", "task is missing"),
        ("sigma", "sigmas", "gaussian_noise"),
        ("seed = 3", "seed =", "is not TOML"),
    ],
)
def test_a_wrong_benchmark_is_refused(tmp_path, old, new, problem):
    write_photos(tmp_path / "photos")
    (tmp_path / "mine.toml").write_text(BENCHMARK.replace(old, new))

    with pytest.raises(RecipeError, match=problem):
        read_benchmark(tmp_path / "mine.toml", tmp_path)


def test_an_unknown_benchmark_lists_those_there_are():
    with pytest.raises(RecipeError, match=r"no benchmark 'rain'; there are: .*rain100h"):
        read_benchmark("rain")


def test_benchmarks_are_read_once_each_by_their_files_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / "photos")
    (tmp_path / "b.toml").write_text(BENCHMARK)
    (tmp_path / "a.toml").write_text(BENCHMARK.replace("Two", "Other"))

    read = read_benchmarks(["b.toml", tmp_path / "b.toml", "a.toml"], tmp_path)

    assert [(name, one.title) for name, one in read.items()] == [("b", "Two photos"), ("a", "Other photos")]


@pytest.mark.parametrize(
    ("other", "title", "problem"),
    [
        ("deep/two.toml", "Other", r"two benchmarks have the name 'two': rename .*deep.two\.toml"),
        ("deep/three.toml", "Two", r"two\.toml and .*three\.toml have one title, 'Two photos': change one"),
    ],
)
def test_benchmarks_that_a_table_could_not_tell_apart_are_refused(tmp_path, other, title, problem):
    write_photos(tmp_path / "photos")
    (tmp_path / "deep").mkdir()
    (tmp_path / "two.toml").write_text(BENCHMARK)
    (tmp_path / other).write_text(BENCHMARK.replace("Two", title))

    with pytest.raises(RecipeError, match=problem):
        read_benchmarks([tmp_path / "two.toml", tmp_path / other], tmp_path)


def test_titles_of_the_packages_benchmarks_differ():
    titles = {tomllib.loads(path.read_text())["title"] for path in SHIPPED.glob("*.toml")}

    assert len(titles) == len(benchmark_names())


@pytest.mark.parametrize("name", benchmark_names())
def test_every_benchmark_of_the_package_gives_images(name, tmp_path):
    dataset = tomllib.loads((SHIPPED / f"{name}.toml").read_text())["dataset"]
    for folder in ("input", "target") if dataset["name"] == "paired_folder" else ("",):
        write_photos(tmp_path / dataset["root"] / folder)

    shown, degraded, clean = read_benchmark(name, tmp_path).images(1)

    assert shown == "photo1"
    assert degraded.shape == clean.shape == (3, 17, 19)
    assert degraded.min() >= 0
    assert degraded.max() <= 1
