"""Patterns, lists and shards: many photos, named otherwise than one by one."""

import os
from collections import Counter
from pathlib import Path

import pytest

from dino_ir.errors import DataError
from dino_ir.places import Job, name_result, plan, read_list, shard_of


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """The working folder, with photos in a tree."""
    monkeypatch.chdir(tmp_path)
    for name in ("in/a.jpg", "in/b.PNG", "in/x/a.jpg", "in/x/y/c.tif", "in/x/notes.txt", "in/.thumbs/a.jpg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    return tmp_path


def pairs(jobs):
    return [(job.photo.as_posix(), job.result.as_posix()) for job in jobs]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("in/*.jpg", {"in/a.jpg": "out/a.jpg"}),
        ("in/**/*.jpg", {"in/a.jpg": "out/a.jpg", "in/x/a.jpg": "out/x/a.jpg"}),
        ("in/*/?.jpg", {"in/x/a.jpg": "out/x/a.jpg"}),
        ("*/a.jpg", {"in/a.jpg": "out/in/a.jpg"}),
        ("in/[x-z]", {"in/x/a.jpg": "out/x/a.jpg", "in/x/y/c.tif": "out/x/y/c.tif"}),
        ("in/x/**", {"in/x/a.jpg": "out/a.jpg", "in/x/y/c.tif": "out/y/c.tif"}),
    ],
)
def test_a_patterns_photos_keep_what_it_left_open(tree, pattern, expected):
    assert dict(pairs(plan([pattern], "out"))) == expected


def test_a_pattern_may_be_absolute(tree):
    jobs = plan([tree / "in" / "**" / "*.tif"], tree / "out")

    assert jobs == [Job(tree / "in/x/y/c.tif", tree / "out/x/y/c.tif")]


def test_without_out_a_pattern_does_not_find_results(tree):
    Path("in/a_restored.jpg").touch()

    assert pairs(plan(["in/*.jpg"])) == [("in/a.jpg", "in/a_restored.jpg")]


def test_results_below_a_pattern_are_no_photos(tree):
    Path("in/out").mkdir()
    Path("in/out/a.jpg").touch()

    assert pairs(plan(["in/**/a.jpg"], "in/out")) == [
        ("in/a.jpg", "in/out/a.jpg"),
        ("in/x/a.jpg", "in/out/x/a.jpg"),
    ]


def test_a_file_that_looks_like_a_pattern_is_a_file(tree):
    Path("in/a[1].jpg").touch()

    assert pairs(plan(["in/a[1].jpg"], "out")) == [("in/a[1].jpg", "out/a[1].jpg")]


@pytest.mark.parametrize("pattern", ["in/*.webp", "nowhere/**"])
def test_a_pattern_that_fits_nothing_is_refused(tree, pattern):
    with pytest.raises(DataError, match="holds no photos"):
        plan([pattern], "out")


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"a.jpg\nb c.jpg\n", ["a.jpg", "b c.jpg"]),
        (b"a.jpg\r\n\r\nb.jpg", ["a.jpg", "b.jpg"]),
        (b"two\nlines.jpg\0 b.jpg\0", ["two\nlines.jpg", " b.jpg"]),
        (b"\xff.jpg\n", ["\udcff.jpg"]),
        (b"\xef\xbb\xbfa.jpg\r\nb.jpg\r\n", ["a.jpg", "b.jpg"]),
        (b"\n", []),
        (b"", []),
    ],
)
def test_a_list_is_of_lines_or_ends_each_with_a_zero(content, names):
    assert read_list(content) == names


def test_every_path_that_find_prints_is_read(tree):
    paths = ["in/two\nlines.jpg", "in/\udcfe.jpg", "in/[1].jpg"]

    content = b"".join(os.fsencode(path) + b"\0" for path in paths)

    assert read_list(content) == paths


@pytest.mark.parametrize(
    ("listed", "result"),
    [
        ("in/x/a.jpg", "out/in/x/a.jpg"),
        ("./in/a.jpg", "out/in/a.jpg"),
        ("/some/where/a.jpg", "out/some/where/a.jpg"),
        ("../a.jpg", "out/a.jpg"),
        ("in/[1].jpg", "out/in/[1].jpg"),
    ],
)
def test_listed_photos_keep_all_their_folders(tree, listed, result):
    (job,) = plan([], "out", listed=[Path(listed)])

    assert job.result == Path(result)


def test_listed_folders_are_searched(tree):
    assert pairs(plan([], "out", listed=[Path("in/x")])) == [
        ("in/x/a.jpg", "out/in/x/a.jpg"),
        ("in/x/y/c.tif", "out/in/x/y/c.tif"),
    ]


def test_without_out_listed_photos_get_results_beside_them(tree):
    assert pairs(plan([], listed=[Path("in/x/a.jpg")])) == [("in/x/a.jpg", "in/x/a_restored.jpg")]


def test_an_empty_list_is_refused():
    with pytest.raises(DataError, match="is empty"):
        plan([], "out")


@pytest.mark.parametrize("total", [1, 2, 3, 7])
def test_every_photo_is_in_exactly_one_shard(tree, total):
    every = plan(["in"], "out")

    shards = [plan(["in"], "out", shard=(number, total)) for number in range(1, total + 1)]

    assert sorted(job for shard in shards for job in shard) == sorted(every)
    assert all(shard == [job for job in every if job in shard] for shard in shards)


def test_shards_are_the_same_wherever_the_tree_lies(tree):
    other = tree / "elsewhere"
    Path("in").rename(other)

    moved = plan([other], tree / "out", shard=(1, 2))

    other.rename("in")
    assert [job.photo.relative_to(other) for job in moved] == [
        job.photo.relative_to("in") for job in plan(["in"], "results", shard=(1, 2))
    ]


def test_shards_are_of_about_one_size():
    counts = Counter(shard_of(Path(f"2024/{number:06}.jpg"), 8) for number in range(16_000))

    assert sorted(counts) == list(range(1, 9))
    assert all(abs(count - 2000) < 5 * (16_000 / 8 * 7 / 8) ** 0.5 for count in counts.values())


def test_a_shard_is_sha_256s_first_eight_bytes():
    # printf in/a.jpg | sha256sum, so that programs of any language can divide photos alike
    assert int("8c7f3104df2df75c", 16) % 1000 + 1 == shard_of(Path("in/a.jpg"), 1000)


def test_photos_that_become_one_fail_whichever_shards_they_are_in(tree):
    paths = ["in/a.jpg", "in/b.PNG", "in/x/a.jpg"]

    jobs = [job for number in range(1, 9) for job in plan(paths, "out", shard=(number, 8))]

    words = "would become out/a.jpg too; restore them separately"
    assert {job.photo.as_posix(): job.problem for job in jobs} == {
        "in/a.jpg": f"in/x/a.jpg {words}",
        "in/b.PNG": "",
        "in/x/a.jpg": f"in/a.jpg {words}",
    }


@pytest.mark.parametrize(
    ("photo", "suffix", "result"),
    [
        ("x/a.JPG", None, "x/a.JPG"),
        ("x/a.JPG", ".jpg", "x/a.JPG"),
        ("a.gif", None, "a.png"),
        ("a.tif", ".webp", "a.webp"),
        ("a.dat", None, "a.dat.png"),
    ],
)
def test_results_have_names_that_can_be_written(photo, suffix, result):
    assert name_result(Path(photo), suffix) == Path(result)
