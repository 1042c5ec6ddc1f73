import re
from collections import Counter

import pytest
import torch

from dino_ir import catalog
from dino_ir.benchmark import with_root
from dino_ir.datasets import published
from dino_ir.datasets.published import Published
from dino_ir.errors import DataError
from dino_ir.files.images import Photo, list_images, write_photo
from dino_ir.ops.random import seeded


def save(path, shape=(3, 4, 6)):
    """Write random pixels, and return them."""
    pixels = torch.randint(256, shape, generator=seeded(*path.as_posix().encode()), dtype=torch.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_photo(path, Photo(pixels / 255))
    return pixels


def save_pair(root, degraded, clean):
    """Write a pair as one picture or as two, and return the degraded photo and the clean one."""
    if clean == "BOTH":
        return save(root / f"{degraded}.png", (3, 4, 12)).chunk(2, dim=-1)
    return save(root / f"{degraded}.png"), save(root / f"{clean}.png")


def save_scenes(root, scenes=5, hazy=4):
    """Write a small OTS."""
    for scene in range(1, scenes + 1):
        save(root / "clear" / f"{scene:04}.png")
        for number in range(hazy):
            save(root / "haze" / f"{scene:04}_0.8_0.{number}.png")


def names(dataset):
    return [dataset[i].name for i in range(len(dataset))]


# --- layouts ----------------------------------------------------------------------------------


def test_photos_are_sorted_and_share_their_scene(tmp_path):
    save_scenes(tmp_path / "OTS_BETA", scenes=2, hazy=2)

    dataset = Published("ots", "train", tmp_path)

    assert names(dataset) == ["0001_0.8_0.0", "0001_0.8_0.1", "0002_0.8_0.0", "0002_0.8_0.1"]
    assert torch.equal(dataset[0].clean, dataset[1].clean)
    assert not torch.equal(dataset[1].clean, dataset[2].clean)


def test_neither_folders_nor_suffixes_need_their_usual_case_or_kind(tmp_path):
    degraded = save(tmp_path / "sots" / "Outdoor" / "HAZY" / "0001_0.8_0.2.TIF")
    clean = save(tmp_path / "sots" / "Outdoor" / "gt" / "0001.PNG")

    pair = Published("sots", "outdoor", tmp_path)[0]

    assert torch.equal(pair.degraded, degraded)
    assert torch.equal(pair.clean, clean)


def test_a_folder_of_the_very_name_comes_first(tmp_path):
    for folder in ("BSD400", "bsd400", "Bsd400"):
        save(tmp_path / folder / f"in_{folder}.png")
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("this file system takes them for one folder")

    assert names(Published("bsd400", "train", tmp_path)) == ["in_BSD400"]


def test_the_first_layout_that_pairs_up_is_taken(tmp_path):
    save_pair(tmp_path, "Rain100L/input/rain-001", "Rain100L/target/rain-001")  # unlike the layout before it
    save_pair(tmp_path, "rain_data_test_Light/rain/norain-001x2", "rain_data_test_Light/norain/norain-001")

    assert names(Published("rain100l", "test", tmp_path)) == ["rain-001"]


def test_colour_comes_before_what_may_be_grey(tmp_path):
    save(tmp_path / "BSD68" / "grey.png", (1, 4, 6))
    save(tmp_path / "CBSD68" / "colour.png")

    assert names(Published("bsd68", "test", tmp_path)) == ["colour"]


def test_the_middle_of_a_clean_photo_with_a_margin_is_taken(tmp_path):
    save(tmp_path / "indoor" / "hazy" / "1400_1.png", (3, 4, 6))
    clean = save(tmp_path / "indoor" / "gt" / "1400.png", (3, 8, 12))

    assert torch.equal(Published("sots", "indoor", tmp_path)[0].clean, clean[:, 2:6, 3:9])


@pytest.mark.parametrize("inside", [False, True], ids=["the set's own folder", "a folder that holds it"])
def test_a_relative_root_is_completed_by_the_data_folder(tmp_path, inside):
    save_pair(tmp_path, "DID/DID-MDN-test/0", "BOTH")
    table = {"name": "published", "set": "did", "split": "test", "root": "." if inside else "DID"}

    dataset = catalog.build("datasets", with_root(table, tmp_path))

    assert names(dataset) == ["0"]


# --- numbers ----------------------------------------------------------------------------------


def test_a_set_that_is_not_whole_says_so_and_works(tmp_path):
    save_scenes(tmp_path, scenes=2, hazy=2)

    dataset = Published("ots", "train", tmp_path, count=3)

    assert (len(dataset), dataset.found, dataset.expected) == (3, 4, 2061 * 35)


def test_a_number_that_nobody_agrees_on_is_not_expected(tmp_path):
    save_pair(tmp_path, "test_b/data/0_rain", "test_b/gt/0_clean")

    assert Published("raindrop", "test_b", tmp_path).expected is None


@pytest.mark.parametrize("count", range(1, 21))
def test_scenes_are_taken_evenly(tmp_path, count):
    save_scenes(tmp_path, scenes=5, hazy=4)

    taken = names(Published("ots", "train", tmp_path, count=count))

    times = Counter(name.split("_")[0] for name in taken)
    assert len(taken) == len(set(taken)) == count
    assert taken == sorted(taken)
    assert sorted(times.values(), reverse=True) == [
        (count + 4 - scene) // 5 for scene in range(5) if count > scene
    ]


def test_what_is_taken_depends_on_the_seed_alone(tmp_path, monkeypatch):
    save_scenes(tmp_path)
    first = names(Published("ots", "train", tmp_path, count=7))

    monkeypatch.setattr(published, "list_images", lambda folder: list_images(folder)[::-1])

    assert sorted(names(Published("ots", "train", tmp_path, count=7))) == first
    assert sorted(names(Published("ots", "train", tmp_path, count=7, seed=1))) != first


def test_every_photo_can_be_taken_and_more_only_adds(tmp_path):
    save_scenes(tmp_path, scenes=3, hazy=3)

    one, four = (
        [{*names(Published("ots", "train", tmp_path, count, seed))} for seed in range(60)] for count in (1, 4)
    )

    assert (
        len(set.union(*one)) == 9
    )  # one is missed with probability 9 (8/9)^60, in 1 of 130 runs of 60 seeds
    assert all(fewer <= more for fewer, more in zip(one, four))


# --- what can be wrong ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"set": "dud", "split": "train"}, "no set 'dud'; there are: bsd400, bsd68, cdd11, did, "),
        (
            {"set": "../benchmarks/polyu", "split": "train"},
            "no set '../benchmarks/polyu'; there are: bsd400, ",
        ),
        ({"set": "sots", "split": "train"}, "no split 'train' of sots; there are: outdoor, indoor"),
        ({"set": "lol", "split": "test", "count": 0}, "count is at least 1, got 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, options, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        Published(root=tmp_path, **options)


def test_what_is_not_there_is_said_with_where_to_get_it(tmp_path):
    with pytest.raises(DataError) as caught:
        Published("lol", "test", tmp_path)

    assert str(caught.value) == (
        f"no lol test in {tmp_path}: looked there and in LOLdataset/, LOL/, LOL_v1/, LOL-v1/, LOLv1/ for"
        " eval15/low/ with eval15/high/, test/low/ with test/high/, test/input/ with test/target/; it is at"
        " https://daooshee.github.io/BMVC2018website/"
    )


def test_files_that_cannot_be_read_are_said_to_be_so(tmp_path):
    (tmp_path / "WaterlooED").mkdir()
    (tmp_path / "WaterlooED" / "00001.bmp").write_bytes(b"BM")

    with pytest.raises(
        DataError, match=r"^no wed train in .* \(its files are BMP: turn them into PNG first\)$"
    ):
        Published("wed", "train", tmp_path)


def test_a_part_that_is_not_there_is_missed_though_others_are(tmp_path):
    save_pair(tmp_path, "Rain_Light/0", "BOTH")

    with pytest.raises(DataError, match=r"^no did train_heavy in "):
        Published("did", "train_heavy", tmp_path)


def test_a_root_that_is_not_there_is_named(tmp_path):
    with pytest.raises(
        DataError, match=r"^no folder .*nowhere: --data DIR or DINO_IR_DATA is what roots are"
    ):
        Published("lol", "test", tmp_path / "nowhere")


@pytest.mark.parametrize("partners", ["0001 0003", ""], ids=["some are there", "none is"])
def test_photos_without_a_clean_one_are_named(tmp_path, partners):
    for scene in range(1, 9):
        save(tmp_path / "haze" / f"000{scene}_1_0.2.png")
    for scene in partners.split():
        save(tmp_path / "clear" / f"{scene}.png")
    lonely = [f"000{scene}_1_0.2" for scene in range(1, 9) if f"000{scene}" not in partners]

    message = re.escape(f"{tmp_path}/haze: no clean photo in clear/ for {', '.join(lonely[:5])}")
    with pytest.raises(DataError, match=f"^{message}$"):
        Published("ots", "train", tmp_path)


def test_two_photos_of_one_name_are_refused(tmp_path):
    for suffix in ("png", "tif"):
        save(tmp_path / "Kodak24" / f"a.{suffix}")

    with pytest.raises(DataError, match=r"a\.png and a\.tif have one name: keep one, or rename one$"):
        Published("kodak24", "test", tmp_path)


def test_more_than_there_is_cannot_be_counted_on(tmp_path):
    save_scenes(tmp_path, scenes=1, hazy=2)

    message = " has 2 pictures of ots train, fewer than the count of 4000"
    with pytest.raises(DataError, match=f"^{re.escape(str(tmp_path))}{message}$"):
        Published("ots", "train", tmp_path, count=4000)


@pytest.mark.parametrize(("name", "split"), [("ots", "train"), ("its", "train")])
def test_sizes_that_differ_are_named(tmp_path, name, split):
    save(tmp_path / "hazy" / "1_1_0.2.png", (3, 4, 6))
    save(tmp_path / "clear" / "1.png", (3, 8, 5))

    with pytest.raises(DataError, match=r"1_1_0\.2\.png and .*1\.png differ in size: 6x4 and 5x8$"):
        Published(name, split, tmp_path)[0]


def test_halves_of_different_widths_are_named(tmp_path):
    save(tmp_path / "DID-MDN-test" / "0.png", (3, 4, 7))

    with pytest.raises(DataError, match=r"0\.png is 7 pixels wide: expected two halves of one width$"):
        Published("did", "test", tmp_path)[0]
