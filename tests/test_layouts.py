"""Every published set's file is well-formed, and docs/datasets.md tells what is in it."""

import re
import tomllib
from pathlib import Path

import pytest
import torch

import dino_ir
from dino_ir.datasets.published import Published
from dino_ir.errors import DataError
from dino_ir.files.images import Photo, write_photo
from dino_ir.ops.random import seeded

FOLDER = Path(dino_ir.__file__).parent / "layouts"
SETS = {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.toml"))}
SPLITS = [(name, split) for name, table in SETS.items() for split in table["split"]]
LAYOUTS = [
    (f"{name}-{split}-{number}", layout)
    for name, split in SPLITS
    for number, layout in enumerate(SETS[name]["split"][split].get("layouts", []))
]
DOCS = (Path(__file__).parents[1] / "docs" / "datasets.md").read_text(encoding="utf-8")
ROWS = {row.split("`")[1]: row for row in DOCS.splitlines() if row.startswith("| `")}

PAIRS = """
did train Rain_Light/train2018new/0 DID-MDN-training/Rain_Light/train2018new/0 BOTH
did train_heavy Rain_Heavy/train2018new/0 Rain_Heavy/train2018new/0 BOTH
did test 1199 DID-MDN-test/1199 BOTH
did test 1199 Test1200/input/1199 Test1200/target/1199
did test_heavy 1 rain1200_heavy/test/rain/1 rain1200_heavy/test/norain/1
did test_light 1 rain1200_light/test/rain/1 rain1200_light/test/norain/1
ots train 0001_0.8_0.2 haze/0001_0.8_0.2 clear/0001
ots train 0001_0.8_0.2 hazy/0001_0.8_0.2 clear/0001
ots train p1/0001_0.8_0.2 haze/p1/0001_0.8_0.2 clear/0001
ots train p1/0001_0.8_0.2 synthetic/p1/0001_0.8_0.2 original/0001
ots train_alpha OTS/8180_1_0.2 OTS_ALPHA/haze/OTS/8180_1_0.2 OTS_ALPHA/clear/clear_images/8180
its train 1_1_0.90179 hazy/1_1_0.90179 clear/1
its train_v0 1_1_0.90179 train/ITS_haze/1_1_0.90179 train/ITS_clear/1
its val_v0 1_1_0.90179 val/haze/1_1_0.90179 val/clear/1
sots outdoor 0001_0.8_0.2 outdoor/hazy/0001_0.8_0.2 outdoor/gt/0001
sots outdoor 0001_0.8_0.2 outdoor/hazy/0001_0.8_0.2 outdoor/clear/0001
sots outdoor 0001_0.8_0.2 input/0001_0.8_0.2 target/0001
sots indoor 1400_1 indoor/hazy/1400_1 indoor/gt/1400
sots indoor 1400_1 indoor/nyuhaze500/hazy/1400_1 indoor/nyuhaze500/gt/1400
sots indoor 1400_1 nyuhaze500/hazy/1400_1 nyuhaze500/gt/1400
sots indoor 1449_10 input/1449_10 target/1449_10
rain100l train rain-1 RainTrainL/rain-1 RainTrainL/norain-1
rain100l train rain-1 rainy/rain-1 gt/norain-1
rain100l train norain-1x2 rain_data_train_Light/rain/norain-1x2 rain_data_train_Light/norain/norain-1
rain100l train 1 train/Rain100L/input/1 train/Rain100L/target/1
rain100l test rain-001 rainy/rain-001 norain-001
rain100l test rain-001 rain/rain-001 norain/norain-001
rain100l test rain-001 input/rain-001 target/norain-001
rain100l test 1 Rain100L/input/1 Rain100L/target/1
rain100h train rain-1 RainTrainH/rain-1 RainTrainH/norain-1
rain100h test rain-001 rainy/rain-001 norain-001
rain100h test 1 input/1 target/1
rain100h test X2/norain-001x2 rain_data_test_Heavy/rain/X2/norain-001x2 rain_data_test_Heavy/norain/norain-001
gopro train G_07/blur/000047 train/G_07/blur/000047 train/G_07/sharp/000047
gopro train 1 train/input/1 train/target/1
gopro train_gamma G/blur_gamma/1 train/G/blur_gamma/1 train/G/sharp/1
gopro test G/blur/1 test/G/blur/1 test/G/sharp/1
gopro test 1 test/blur/1 test/sharp/1
gopro test_gamma G/blur_gamma/1 test/G/blur_gamma/1 test/G/sharp/1
lol train 2 our485/low/2 our485/high/2
lol test 1 eval15/low/1 eval15/high/1
cdd11 train low_haze/00001 CDD-11_train/low_haze/00001 CDD-11_train/clear/00001
cdd11 test rain/00001 test/rain/00001 test/clear/00001
cdd11 test_rain rain/00001 CDD-11_test/rain/00001 CDD-11_test/clear/00001
snow100k train a Snow100K-training/all/synthetic/a Snow100K-training/all/gt/a
snow100k test_small a Snow100K-S/synthetic/a Snow100K-S/gt/a
snow100k test_medium a test/Snow100K-M/synthetic/a test/Snow100K-M/gt/a
snow100k test_large a Snow100K-L/synthetic/a Snow100K-L/gt/a
raindrop train 0_rain train/data/0_rain train/gt/0_clean
raindrop test_a 0_rain test_a/data/0_rain test_a/gt/0_clean
raindrop test_b 0_rain test_b/data/0_rain test_b/gt/0_clean
weatherstream test_rain rain1/degraded_1 WeatherStream_test/rain1/degraded_1 WeatherStream_test/rain1/rain_gt
weatherstream test_snow snow1/degraded_1 WeatherStream_test/snow1/degraded_1 WeatherStream_test/snow1/snow_gt
weatherstream test_fog fog1/degraded_1 WeatherStream_test/fog1/degraded_1 WeatherStream_test/fog1/fog_gt
"""
"""Set, split, a pair's name, its degraded file and its clean file, or that one picture holds both."""

CLEAN = """
bsd400 train BSD400/2092
bsd400 train CBSD400/2092
wed train exploration_database_and_code/pristine_images/1
wed train WED/pristine_images/1
wed train WaterlooED/1
bsd68 test CBSD68/101085
bsd68 test CBSD68-dataset/CBSD68/original_png/0000
bsd68 test BSD68/101085
urban100 test Urban100/img_001
kodak24 test Kodak24/kodim01
urban100 test Urban100/image_SRF_2/img_001_SRF_2_HR
div2k train DIV2K_train_HR/0001
div2k valid DIV2K/DIV2K_valid_HR/0801
kodak24 test kodim01
"""
"""Set, split and a photo's file."""


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


def names(dataset):
    return [dataset[i].name for i in range(len(dataset))]


# --- the folders ------------------------------------------------------------------------------


@pytest.mark.parametrize("below", [False, True], ids=["in the root", "below its usual folder"])
@pytest.mark.parametrize("row", PAIRS.strip().splitlines(), ids=lambda row: "-".join(row.split()[::3]))
def test_pairs_are_found_as_they_are_published(tmp_path, row, below):
    name, split, pair, *files = row.split()
    top = SETS[name]["tops"][0] if below else "."
    degraded, clean = save_pair(tmp_path / top, *files)

    dataset = Published(name, split, tmp_path)

    assert names(dataset) == [pair]
    assert torch.equal(dataset[0].degraded, degraded)
    assert torch.equal(dataset[0].clean, clean)
    assert dataset[0].depth is None


@pytest.mark.parametrize("row", PAIRS.strip().splitlines(), ids=lambda row: "-".join(row.split()[::3]))
def test_a_split_is_not_taken_for_another(tmp_path, row):
    name, split, _pair, *files = row.split()
    save_pair(tmp_path / SETS[name]["tops"][0], *files)

    splits = SETS[name]["split"]
    whole = splits[split].get("of", split)
    for other in splits:
        if whole not in (other, splits[other].get("of")):
            with pytest.raises(DataError):
                Published(name, other, tmp_path)


@pytest.mark.parametrize("row", CLEAN.strip().splitlines())
def test_clean_photos_are_found_as_they_are_published(tmp_path, row):
    name, split, file = row.split()
    clean = save(tmp_path / f"{file}.png")

    dataset = Published(name, split, tmp_path)

    assert names(dataset) == [Path(file).name]
    assert torch.equal(dataset[0].clean, clean)
    assert dataset[0].degraded is None


@pytest.mark.parametrize(
    ("name", "split", "files", "expected"),
    [
        ("rain100h", "train", "RainTrainH/: rain-1 norain-1 rainstreak-1 rainregion-1", ["rain-1"]),
        ("rain100h", "test", "Rain100H/: rainy/rain-001 norain-001 rain-001", ["rain-001"]),
        ("gopro", "test", "test/G/: blur/1 blur_gamma/1 sharp/1", ["G/blur/1"]),
        ("snow100k", "train", "all/: synthetic/a gt/a mask/a", ["a"]),
        ("cdd11", "train", "train/: haze/1 low_haze/1 rain/1 clear/1", ["haze/1", "low_haze/1", "rain/1"]),
        ("cdd11", "train_haze", "train/: haze/1 low_haze/1 rain/1 clear/1", ["haze/1"]),
        ("did", "train_heavy", "DID/: Rain_Heavy/1 Rain_Light/1 Rain_Medium/1", ["Rain_Heavy/1"]),
        ("urban100", "test", "Urban100/image_SRF_2/: 1_SRF_2_HR 1_SRF_2_LR", ["1_SRF_2_HR"]),
        ("bsd68", "test", "CBSD68/: original_png/1 noisy25/1", ["1"]),
        ("kodak24", "test", "./: kodim01 other/photo", ["kodim01"]),
        ("div2k", "train", "./: DIV2K_train_HR/1 DIV2K_valid_HR/2", ["1"]),
        ("raindrop", "test_a", "./: test_a/data/0_rain test_a/gt/0_clean train/data/1_rain", ["0_rain"]),
        (
            "weatherstream",
            "test_rain",
            "WeatherStream_test/: rain_fog/degraded_1 rain_fog/rain_gt fog/degraded_1 fog/fog_gt",
            ["rain_fog/degraded_1"],
        ),
    ],
)
def test_what_lies_beside_a_split_is_left_out(tmp_path, name, split, files, expected):
    folder, _, photos = files.partition(": ")
    for photo in photos.split():
        save(tmp_path / folder / f"{photo}.png")

    assert names(Published(name, split, tmp_path)) == expected


# --- the files --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SETS)
def test_a_set_says_what_it_is_and_where_it_is_from(name):
    table = SETS[name]

    assert all(isinstance(table[key], str) and table[key] for key in ("title", "source", "terms"))
    assert re.fullmatch(r"https://\S+", table["source"])
    assert table["tops"]
    assert table.keys() <= {"title", "source", "terms", "note", "tops", "clean_has_a_margin", "split"}


@pytest.mark.parametrize(("name", "split"), SPLITS)
def test_a_split_has_layouts_of_its_own_or_is_a_part_of_one_that_has(name, split):
    splits = SETS[name]["split"]
    table = splits[split]

    if "of" in table:
        assert table.keys() == {"of", "only", "images"}
        assert splits[table["of"]]["layouts"]
        assert re.compile(table["only"])
    else:
        assert {"layouts"} <= table.keys() <= {"layouts", "images"}
        assert table["layouts"]


@pytest.mark.parametrize("layout", [layout for _, layout in LAYOUTS], ids=[name for name, _ in LAYOUTS])
def test_a_layout_is_one_that_is_understood(layout):
    folders = {key: layout[key] for key in ("degraded", "clean") if key in layout}

    assert layout.keys() <= {"degraded", "clean", "side_by_side", "match", "partner"}
    assert all(
        not Path(folder).is_absolute() and ".." not in Path(folder).parts for folder in folders.values()
    )
    assert (
        re.compile(layout.get("match", "")).sub(layout.get("partner", ""), "") == ""
    )  # the groups are there
    if "side_by_side" in layout:
        assert (folders.keys(), layout["side_by_side"]) == ({"degraded"}, "degraded_left")
    else:
        assert "clean" in folders


@pytest.mark.parametrize("name", SETS)
def test_no_layout_is_written_twice(name):
    for split in SETS[name]["split"].values():
        layouts = [sorted(layout.items()) for layout in split.get("layouts", [])]
        assert all(layouts.count(layout) == 1 for layout in layouts)


@pytest.mark.parametrize(("name", "split"), SPLITS)
def test_a_split_that_is_not_there_is_said_with_where_to_get_it(tmp_path, name, split):
    with pytest.raises(
        DataError, match=rf"^no {name} {split} in .*: .*; it is at {re.escape(SETS[name]['source'])}"
    ):
        Published(name, split, tmp_path)


def test_parts_of_a_split_add_up():
    for name, split in SPLITS:
        splits = SETS[name]["split"]
        parts = [part["images"] for part in splits.values() if part.get("of") == split]
        assert not parts or sum(parts) == splits[split]["images"], f"{name} {split}"


def test_the_page_lists_every_set_and_no_other():
    assert ROWS.keys() == SETS.keys()


@pytest.mark.parametrize("name", SETS)
def test_the_page_says_what_the_file_says(name):
    table, row = SETS[name], ROWS[name]

    assert f"| {table['title']} |" in row
    assert f"| {table['terms']} |" in row
    assert f"({table['source']}) |" in row
    for split, content in table["split"].items():
        number = f" {content['images']:,}" if "images" in content else ""
        assert f"`{split}`{number}" in row or "of" in content
