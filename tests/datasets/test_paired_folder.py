import numpy as np
import pytest
from PIL import Image

from dino_ir.datasets.paired_folder import PairedFolder
from dino_ir.errors import DataError

DEGRADED, CLEAN = 50, 200
SHARED = r"(\d+)_.*"


def save(path, value, shape=(5, 7, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(shape, value, np.uint8)).save(path)


def assert_pairs(dataset, names):
    """The names are these, and each picture lies on its own side."""
    pairs = [dataset[i] for i in range(len(dataset))]
    assert [pair.name for pair in pairs] == names
    assert all(pair.degraded.eq(DEGRADED).all() and pair.clean.eq(CLEAN).all() for pair in pairs)
    assert all(pair.depth is None for pair in pairs)


def test_two_folders_with_equal_names(tmp_path):
    for name in ("b", "a", "sub/a"):
        save(tmp_path / "input" / f"{name}.png", DEGRADED)
        save(tmp_path / "target" / f"{name}.png", CLEAN)

    assert_pairs(PairedFolder(tmp_path), ["a", "b", "sub/a"])


def test_suffixes_of_files_may_differ(tmp_path):
    save(tmp_path / "input" / "a.tif", DEGRADED)
    save(tmp_path / "target" / "a.png", CLEAN)

    assert_pairs(PairedFolder(tmp_path), ["a"])


def test_folders_may_have_other_names_and_lie_deeper(tmp_path):
    save(tmp_path / "rain" / "X2" / "a.png", DEGRADED)
    save(tmp_path / "norain" / "a.png", CLEAN)

    assert_pairs(PairedFolder(tmp_path, degraded="rain/X2", clean="norain"), ["a"])


def test_two_folders_whose_names_end_differently(tmp_path):
    for name in ("1", "2"):
        save(tmp_path / "input" / f"{name}_real.png", DEGRADED)
        save(tmp_path / "target" / f"{name}_mean.png", CLEAN)

    assert_pairs(PairedFolder(tmp_path, degraded_suffix="_real", clean_suffix="_mean"), ["1", "2"])


@pytest.mark.parametrize(
    ("degraded_suffix", "clean_suffix"), [("_bad", "_good"), ("_bad", ""), ("", "_good"), ("_x", "_clean_x")]
)
def test_one_folder_with_suffixes(tmp_path, degraded_suffix, clean_suffix):
    for name in ("b", "a", "sub/a"):
        save(tmp_path / f"{name}{degraded_suffix}.png", DEGRADED)
        save(tmp_path / f"{name}{clean_suffix}.png", CLEAN)

    dataset = PairedFolder(tmp_path, ".", ".", degraded_suffix, clean_suffix)

    assert_pairs(dataset, ["a", "b", "sub/a"])


def test_many_degraded_photos_share_one_clean(tmp_path):
    for name in ("1400_1", "1400_10", "1400_2", "1401_1"):
        save(tmp_path / "input" / f"{name}.png", DEGRADED)
    for name in ("1400", "1401", "1402"):
        save(tmp_path / "target" / f"{name}.png", CLEAN)

    assert_pairs(PairedFolder(tmp_path, shared=SHARED), ["1400_1", "1400_10", "1400_2", "1401_1"])


def test_shared_names_go_together_with_suffixes(tmp_path):
    for name in ("7_a", "7_b"):
        save(tmp_path / f"{name}_hazy.png", DEGRADED)
    save(tmp_path / "7_clear.png", CLEAN)

    dataset = PairedFolder(tmp_path, ".", ".", "_hazy", "_clear", shared=SHARED)

    assert_pairs(dataset, ["7_a", "7_b"])


def test_a_name_that_shares_nothing_is_its_own_partner(tmp_path):
    save(tmp_path / "input" / "scene.png", DEGRADED)
    save(tmp_path / "target" / "scene.png", CLEAN)

    assert_pairs(PairedFolder(tmp_path, shared=SHARED), ["scene"])


def test_clean_photos_without_a_degraded_one_are_left_out(tmp_path):
    save(tmp_path / "input" / "a.png", DEGRADED)
    for name in ("a", "b"):
        save(tmp_path / "target" / f"{name}.png", CLEAN)

    assert_pairs(PairedFolder(tmp_path), ["a"])


def test_missing_partners_are_named(tmp_path):
    for name in "abcdefg":
        save(tmp_path / "input" / f"{name}.png", DEGRADED)
    save(tmp_path / "target" / "a.png", CLEAN)

    with pytest.raises(DataError, match=r": no clean photo in target/ for b, c, d, e, f$"):
        PairedFolder(tmp_path)


@pytest.mark.parametrize("missing", ["input", "target"])
def test_a_folder_that_is_not_there_is_named(tmp_path, missing):
    for folder in {"input", "target"} - {missing}:
        save(tmp_path / folder / "a.png", CLEAN)

    with pytest.raises(DataError, match=rf"^no folder .*{missing}: --data DIR or DINO_IR_DATA"):
        PairedFolder(tmp_path)


def test_folders_without_pairs_are_refused(tmp_path):
    (tmp_path / "input").mkdir()
    save(tmp_path / "target" / "a.png", CLEAN)

    with pytest.raises(DataError, match=r"^no pairs in .*: expected photos in input/ and target/$"):
        PairedFolder(tmp_path)


def test_photos_are_not_paired_with_themselves(tmp_path):
    save(tmp_path / "a.png", CLEAN)

    with pytest.raises(DataError, match=r"^no pairs in "):
        PairedFolder(tmp_path, degraded=".", clean=".")


def test_two_photos_of_one_name_are_refused(tmp_path):
    save(tmp_path / "input" / "a.png", DEGRADED)
    for suffix in (".jpg", ".png"):
        save(tmp_path / "target" / f"a{suffix}", CLEAN)

    with pytest.raises(DataError, match=r"a\.jpg and a\.png have one name"):
        PairedFolder(tmp_path)


def test_sizes_that_differ_are_named(tmp_path):
    save(tmp_path / "input" / "a.png", DEGRADED, (5, 7, 3))
    save(tmp_path / "target" / "a.png", CLEAN, (6, 8, 3))

    with pytest.raises(DataError, match=r"a\.png and .*a\.png differ in size: 7x5 and 8x6$"):
        PairedFolder(tmp_path)[0]


@pytest.mark.parametrize("shared", [r"\d+_.*", r"(\d+)_(.*)", r"(\d+"])
def test_expressions_without_exactly_one_group_are_refused(tmp_path, shared):
    with pytest.raises(ValueError, match="shared is a regular expression with one group, got"):
        PairedFolder(tmp_path, shared=shared)
