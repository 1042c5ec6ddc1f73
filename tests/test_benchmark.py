import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dino_ir import benchmark as benchmark_module
from dino_ir.benchmark import (
    Benchmark,
    benchmark_names,
    read_available,
    read_benchmark,
    read_benchmarks,
    with_root,
)
from dino_ir.contracts import Pair
from dino_ir.degradations.chain import Chain
from dino_ir.degradations.choice import Choice
from dino_ir.degradations.gaussian_blur import GaussianBlur
from dino_ir.degradations.gaussian_noise import GaussianNoise
from dino_ir.errors import DataError, RecipeError
from dino_ir.protocol import OURS, Protocol, protocol_names, read_protocol

SHIPPED = Path(benchmark_module.__file__).parent / "benchmarks"
LAYOUTS = SHIPPED.parent / "layouts"
TABLES = {path.stem: tomllib.loads(path.read_text()) for path in sorted(SHIPPED.glob("*.toml"))}
OF_FOLDERS = [name for name, table in TABLES.items() if table["dataset"]["name"] != "published"]
OF_SETS = [name for name, table in TABLES.items() if table["dataset"]["name"] == "published"]
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


def write_photos(folder, name="photo{}"):
    folder.mkdir(parents=True)
    for index in range(2):
        Image.fromarray(photo(index).movedim(0, 2).numpy()).save(folder / f"{name.format(index)}.png")


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


@pytest.mark.parametrize("root", [3, True, ["a"], {"root": "a"}])
def test_a_root_that_is_no_text_is_refused(tmp_path, root):
    problem = f'expected the text of a path as root, got {root!r}; write root = "DIR"'
    with pytest.raises(RecipeError, match=re.escape(problem)):
        with_root({"datasets": [{"root": root}]}, tmp_path)


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
        ('"photos"', "3", "expected the text of a path as root, got 3"),
        ("seed = 3", "seed =", "is not TOML"),
    ],
)
def test_a_wrong_benchmark_is_refused(tmp_path, old, new, problem):
    write_photos(tmp_path / "photos")
    (tmp_path / "mine.toml").write_text(BENCHMARK.replace(old, new))

    with pytest.raises(RecipeError, match=problem):
        read_benchmark(tmp_path / "mine.toml", tmp_path)


def test_an_unknown_benchmark_lists_those_there_are():
    with pytest.raises(RecipeError, match=r"no benchmark 'rain'; there are: .*rain100h.*; for all of .* p3"):
        read_benchmark("rain")


def test_a_tables_name_stands_for_all_of_its_benchmarks(monkeypatch):
    monkeypatch.setattr(benchmark_module, "_dataset", lambda _table, _data: PHOTOS)

    read = read_benchmarks(["lol", "p3", "rain100l", "daclip_low_light"])

    assert list(read) == [
        "lol",
        "sots_outdoor",
        "rain100l",
        "bsd68_noise15",
        "bsd68_noise25",
        "bsd68_noise50",
        "daclip_low_light",
    ]


def test_only_the_packages_own_files_are_shipped(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark_module, "_dataset", lambda _table, _data: PHOTOS)
    shipped = SHIPPED / "bsd68_noise25.toml"
    (tmp_path / shipped.name).write_bytes(shipped.read_bytes())

    assert read_benchmark("bsd68_noise25").is_shipped
    assert read_benchmark(SHIPPED / ".." / SHIPPED.name / shipped.name).is_shipped
    assert not read_benchmark(tmp_path / shipped.name).is_shipped


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


# --- protocols --------------------------------------------------------------------------------

NOISE = GaussianNoise(25)


def noise_of(benchmark, index):
    """What was added to image `index`, [H, W, 3], on the 0-255 scale."""
    _, degraded, clean = benchmark.images(index)
    return (degraded - clean).movedim(0, 2).double().numpy() * 255


def test_noise_that_starts_anew_is_numpys_for_every_photo():
    benchmark = Benchmark("noisy", "denoise", PHOTOS, NOISE, protocol=read_protocol("kair"))

    for index in (0, 1):
        expected = 25 * np.random.RandomState(0).standard_normal((17, 19, 3))
        np.testing.assert_allclose(noise_of(benchmark, index), expected, atol=1e-3)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [2]])
def test_noise_that_goes_on_depends_on_the_photos_before_and_not_on_the_order_of_asking(order):
    photos = [*PHOTOS, PHOTOS[0]]
    protocol = Protocol(noise="unclipped", noise_seed="once")
    benchmark = Benchmark("noisy", "denoise", photos, NOISE, protocol=protocol)
    rng = np.random.RandomState(0)
    expected = [25 * rng.standard_normal((17, 19, 3)) for _ in photos]

    for index in order:
        np.testing.assert_allclose(noise_of(benchmark, index), expected[index], atol=1e-3)


def test_a_restorer_may_be_told_the_sigma_of_a_protocols_noise():
    benchmark = Benchmark("noisy", "denoise", PHOTOS, NOISE, protocol=read_protocol("kair"))

    assert benchmark.damage(0) == [(NOISE, {"sigma": 25})]


@pytest.mark.parametrize("degradation", [GaussianNoise([5, 50]), GaussianNoise(levels=[15, 25]), Darker()])
def test_a_protocol_leaves_other_damage_as_it_is(degradation):
    ours = Benchmark("damaged", "any", PHOTOS, degradation)
    theirs = Benchmark("damaged", "any", PHOTOS, degradation, protocol=read_protocol("kair"))

    assert torch.equal(ours.images(1)[1], theirs.images(1)[1])


def test_photos_are_cut_before_they_are_damaged():
    pairs = [Pair("pair", photo(0), photo(1)), Pair("clean", photo(0))]
    protocol = Protocol(multiple=16)

    _, degraded, clean = Benchmark("pairs", "any", pairs, protocol=protocol).images(0)
    _, darker, same = Benchmark("made", "any", pairs, Darker(), protocol=protocol).images(1)

    assert torch.equal(clean * 255, photo(0)[:, :16, 1:17].float())
    assert torch.equal(degraded * 255, photo(1)[:, :16, 1:17].float())
    assert darker.shape == same.shape == (3, 16, 16)


def test_a_protocol_is_a_name_or_a_table_or_another_one(tmp_path):
    write_photos(tmp_path / "photos")
    (tmp_path / "named.toml").write_text(f'protocol = "kair"\n{BENCHMARK}')
    (tmp_path / "own.toml").write_text(f"{BENCHMARK}\n[protocol]\nborder = 2")

    assert read_benchmark(tmp_path / "named.toml", tmp_path).protocol == read_protocol("kair")
    assert read_benchmark(tmp_path / "own.toml", tmp_path).protocol == Protocol(border=2)
    assert read_benchmark(tmp_path / "own.toml", tmp_path, "reside").protocol == read_protocol("reside")


def test_the_digest_changes_with_the_file_and_with_the_protocol(tmp_path):
    write_photos(tmp_path / "photos")
    (tmp_path / "one.toml").write_text(BENCHMARK)
    (tmp_path / "two.toml").write_text(BENCHMARK.replace("25", "26"))

    digests = {
        read_benchmark(tmp_path / file, tmp_path, protocol).digest
        for file in ("one.toml", "two.toml")
        for protocol in (None, "kair")
    }

    assert len(digests) == 4
    assert read_benchmark(tmp_path / "one.toml", tmp_path).digest in digests


def test_a_pictures_digest_is_of_its_name_and_all_its_pixels():
    pairs = [
        Pair("a", photo(0)),
        Pair("b", photo(0)),
        Pair("a", photo(1)),
        Pair("a", photo(0), photo(1)),
        Pair("a", photo(0)),
    ]
    benchmark = Benchmark("pairs", "any", pairs)

    digests = [benchmark.picture(index) for index in range(5)]

    assert len(set(digests)) == 4
    assert digests[0] == digests[4]


# --- what is missing --------------------------------------------------------------------------


def test_missing_pictures_are_said_with_where_they_are_from_and_where_they_go(tmp_path):
    source = "https://example.com/photos"
    (tmp_path / "mine.toml").write_text(f'source = "{source}"\n{BENCHMARK}')

    with pytest.raises(
        DataError, match=f"no folder .*; the pictures are from {source} and go to {tmp_path}/photos$"
    ):
        read_benchmark(tmp_path / "mine.toml", tmp_path)


@pytest.mark.parametrize("name", benchmark_names())
def test_every_benchmark_of_the_package_says_where_its_pictures_are_from(name, tmp_path):
    with pytest.raises(DataError, match=rf"{re.escape(TABLES[name]['source'])}"):
        read_benchmark(name, tmp_path)


def test_those_whose_pictures_are_there_are_told_from_those_that_are_missing(tmp_path):
    write_photos(tmp_path / "test/set5")

    here, missing = read_available(tmp_path)

    assert set(here) == {name for name in OF_FOLDERS if TABLES[name]["dataset"]["root"] == "test/set5"}
    assert here.keys() | missing.keys() == set(benchmark_names())
    assert missing["kodak24_noise15"] == TABLES["kodak24_noise15"]["source"]


def test_no_pictures_at_all_are_said_so(tmp_path):
    with pytest.raises(DataError, match="the pictures of no benchmark"):
        read_available(tmp_path)


# --- the package's files ----------------------------------------------------------------------


def test_titles_of_the_packages_benchmarks_differ():
    assert len({table["title"] for table in TABLES.values()}) == len(benchmark_names())


@pytest.mark.parametrize("name", benchmark_names())
def test_every_benchmark_says_its_source_its_terms_and_its_protocol(name):
    table = TABLES[name]

    assert re.fullmatch(r"https://\S+", table["source"])
    assert table["terms"]
    assert table.get("images", 1) > 0
    assert table.get("protocol", "default") in protocol_names()


def test_what_is_shared_with_training_is_said_of_all_that_have_the_pictures():
    recipe = Path(__file__).parents[1] / "recipes" / "dino_ir_tiny.toml"

    assert 'root = "train/depth/sots"' in recipe.read_text()
    assert "1400 to 1409" in TABLES["sots_indoor_full"]["shared"]
    assert "train/depth/sots" in TABLES["sots_indoor_full"]["shared"]
    assert TABLES["daclip_rainy"]["shared"] == TABLES["rain100h_full"]["shared"]


@pytest.mark.parametrize("name", OF_SETS)
def test_what_a_benchmark_says_of_a_published_set_is_what_its_layout_says(name):
    table = TABLES[name]
    layout = tomllib.loads((LAYOUTS / f"{table['dataset']['set']}.toml").read_text())

    assert (table["source"], table["terms"]) == (layout["source"], layout["terms"])
    assert table.get("images") == layout["split"][table["dataset"]["split"]].get("images")


@pytest.mark.parametrize("name", OF_FOLDERS)
def test_every_benchmark_of_folders_gives_images(name, tmp_path):
    dataset = TABLES[name]["dataset"]
    names = {"levin": "photo{}_kernel1", "outdoor_rain": "im_{}_s80"}
    clean = {"levin": "photo{}", "outdoor_rain": "im_{}", "spa": "photo{}gt"}
    if dataset["name"] == "clean_folder":
        write_photos(tmp_path / dataset["root"])
    else:
        root = tmp_path / dataset["root"]
        write_photos(root / dataset.get("degraded", "input"), names.get(name, "photo{}"))
        write_photos(root / dataset.get("clean", "target"), clean.get(name, "photo{}"))

    benchmark = read_benchmark(name, tmp_path)
    _, degraded, clean = benchmark.images(1)

    assert degraded.shape == clean.shape
    assert clean.shape[1:] == benchmark.protocol.cut(photo(1)).shape[1:]
    assert degraded.min() >= 0
    assert degraded.max() <= 1


@pytest.mark.parametrize("name", OF_SETS)
def test_every_benchmark_of_a_set_builds_its_damage_and_its_protocol(name, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark_module, "_dataset", lambda _table, _data: PHOTOS)

    benchmark = read_benchmark(name, tmp_path)

    assert (benchmark.degradation is None) == ("degradation" not in TABLES[name])
    assert benchmark.protocol == read_protocol(TABLES[name].get("protocol", "default"))
    assert (benchmark.protocol == OURS) == ("protocol" not in TABLES[name])
