import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from dino_ir.datasets.depth_folder import DepthFolder
from dino_ir.errors import DataError, DinoIRError

NUMBERS = np.array([[0, 1, 2500], [5000, 40000, 65535]], np.uint16)


def save_photo(path, shape=(2, 3, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(shape, 7, np.uint8)).save(path)


def save_depth(path, numbers=NUMBERS):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(numbers).save(path)


def names(dataset):
    return [dataset[i].name for i in range(len(dataset))]


def test_depth_is_the_number_over_the_scale(tmp_path):
    save_photo(tmp_path / "a_clean.png")
    save_depth(tmp_path / "a_depth_x5000.png")

    pair = DepthFolder(tmp_path)[0]

    expected = torch.from_numpy(NUMBERS.astype(np.float32))[None] / 5000
    expected[0, 0, 0] = 65535 / 5000  # where the file says 0, which is unknown
    torch.testing.assert_close(pair.depth, expected, rtol=1e-6, atol=1e-6)
    assert pair.name == "a"
    assert pair.degraded is None


def test_depth_is_the_scale_over_disparity_and_the_unknown_is_farthest(tmp_path):
    save_photo(tmp_path / "a_clean.png")
    save_depth(tmp_path / "a_disparity.png", np.array([[0, 10, 20], [40, 80, 160]], np.uint8))

    depth = DepthFolder(tmp_path, depth_suffix="_disparity", scale=40, inverse=True)[0].depth

    torch.testing.assert_close(depth, torch.tensor([[[4.0, 4.0, 2.0], [1.0, 0.5, 0.25]]]))


@pytest.mark.parametrize("inverse", [False, True])
def test_depth_that_is_nowhere_known_stays_finite(tmp_path, inverse):
    save_photo(tmp_path / "a_clean.png")
    save_depth(tmp_path / "a_disparity.png", np.zeros((2, 3), np.uint8))

    depth = DepthFolder(tmp_path, depth_suffix="_disparity", scale=40, inverse=inverse)[0].depth

    assert depth.isfinite().all()


def test_floats_are_taken_as_they_are(tmp_path):
    save_photo(tmp_path / "a_clean.png")
    numbers = np.linspace(0.1, 1, 6, dtype=np.float32).reshape(2, 3)
    tifffile.imwrite(tmp_path / "a_depth.tif", numbers, photometric="minisblack")

    depth = DepthFolder(tmp_path, depth_suffix="_depth", scale=0.5)[0].depth

    torch.testing.assert_close(depth, torch.from_numpy(numbers)[None] / 0.5)


def test_a_grey_depth_map_saved_in_colours_is_read_too(tmp_path):
    save_photo(tmp_path / "a_clean.png")
    save_depth(tmp_path / "a_depth.png", np.full((2, 3, 3), 51, np.uint8))

    depth = DepthFolder(tmp_path, depth_suffix="_depth", scale=255)[0].depth

    torch.testing.assert_close(depth, torch.full((1, 2, 3), 0.2))


@pytest.mark.parametrize(
    ("clean", "depth"), [("_clean", "_depth"), ("", "_depth"), ("_rgb", ""), ("_x", "_d_x"), ("_d_x", "_x")]
)
def test_suffixes_tell_photos_from_depth_maps(tmp_path, clean, depth):
    for name in ("b", "a", "sub/a"):
        save_photo(tmp_path / f"{name}{clean}.jpg")
        save_depth(tmp_path / f"{name}{depth}.png")

    assert names(DepthFolder(tmp_path, clean, depth)) == ["a", "b", "sub/a"]


def test_a_depth_map_without_photo_is_left_out(tmp_path):
    save_photo(tmp_path / "a_clean.png")
    for name in ("a", "b"):
        save_depth(tmp_path / f"{name}_depth_x5000.png")

    assert names(DepthFolder(tmp_path)) == ["a"]


def test_missing_depth_maps_are_named(tmp_path):
    for name in "abcdefg":
        save_photo(tmp_path / f"{name}_clean.png")
    save_depth(tmp_path / "a_depth_x5000.png")

    with pytest.raises(DataError, match=r": no _depth_x5000 for b, c, d, e, f$"):
        DepthFolder(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"^no folder .*nowhere: --data DIR or DINO_IR_DATA"):
        DepthFolder(tmp_path / "nowhere")


def test_a_folder_without_photos_is_refused(tmp_path):
    save_photo(tmp_path / "a.png")

    with pytest.raises(DataError, match=r"^no photos \*_clean with \*_depth_x5000 in "):
        DepthFolder(tmp_path)


def test_two_files_of_one_name_are_refused(tmp_path):
    save_photo(tmp_path / "a_clean.png")
    save_photo(tmp_path / "a_clean.jpg")
    save_depth(tmp_path / "a_depth_x5000.png")

    with pytest.raises(DataError, match=r"a_clean\.jpg and a_clean\.png have one name"):
        DepthFolder(tmp_path)


def test_a_depth_map_of_another_size_is_named(tmp_path):
    save_photo(tmp_path / "a_clean.png", (3, 2, 3))
    save_depth(tmp_path / "a_depth_x5000.png")

    with pytest.raises(DataError, match=r"a_depth_x5000\.png is not of the size of .*a_clean\.png$"):
        DepthFolder(tmp_path)[0]


@pytest.mark.parametrize("options", [{"scale": 0}, {"scale": -5}, {"depth_suffix": "_clean"}])
def test_options_that_give_no_depth_are_refused(tmp_path, options):
    with pytest.raises(ValueError, match="expected two different suffixes and a scale above 0"):
        DepthFolder(tmp_path, **options)


def test_photos_and_depths_in_memory_are_read_once(tmp_path):
    save_photo(tmp_path / "a_clean.png")
    save_depth(tmp_path / "a_depth_x5000.png")
    kept, fresh = DepthFolder(tmp_path, in_memory=True), DepthFolder(tmp_path)
    before = kept[0]
    (tmp_path / "a_depth_x5000.png").unlink()

    assert torch.equal(kept[0].depth, before.depth)
    assert torch.equal(kept[0].clean, before.clean)
    with pytest.raises(DinoIRError, match="does not exist"):
        fresh[0]
