import numpy as np
import pytest
import torch
from PIL import Image

from dino_ir.datasets.clean_folder import CleanFolder
from dino_ir.errors import DataError, ImageError


def save(path, value=7):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((5, 7, 3), value, np.uint8)).save(path)


def names(dataset):
    return [dataset[i].name for i in range(len(dataset))]


def test_every_photo_below_the_folder_is_found_by_its_way_there(tmp_path):
    for path in ("b.png", "a.png", "deep/er/c.png", "deep/a.png", "photo.v1.png"):
        save(tmp_path / path)

    dataset = CleanFolder(tmp_path)

    assert names(dataset) == ["a", "b", "deep/a", "deep/er/c", "photo.v1"]
    assert dataset[0].degraded is None
    assert dataset[0].depth is None


def test_a_photo_keeps_its_numbers(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    Image.fromarray(colours).save(tmp_path / "a.png")

    assert np.array_equal(CleanFolder(tmp_path)[0].clean.permute(1, 2, 0), colours)


def test_chosen_folders_come_in_the_order_they_are_given(tmp_path):
    for path in ("a/1.png", "b/1.png", "b/2.png", "c/1.png"):
        save(tmp_path / path)

    assert names(CleanFolder(tmp_path, folders=["b", "a"])) == ["b/1", "b/2", "a/1"]


def test_what_two_folders_share_is_taken_once(tmp_path):
    for path in ("a/1.png", "a/deep/2.png"):
        save(tmp_path / path)

    assert names(CleanFolder(tmp_path, folders=["a", "a/deep", "."])) == ["a/1", "a/deep/2"]


def test_photos_in_memory_are_read_once(tmp_path):
    save(tmp_path / "a.png")
    kept, fresh = CleanFolder(tmp_path, in_memory=True), CleanFolder(tmp_path)
    first = kept[0].clean.clone()

    save(tmp_path / "a.png", value=200)

    assert torch.equal(first, torch.full((3, 5, 7), 7, dtype=torch.uint8))
    assert torch.equal(kept[0].clean, first)
    assert fresh[0].clean.eq(200).all()


def test_what_is_in_memory_does_not_make_datasets_differ(tmp_path):
    save(tmp_path / "a.png")
    one, other = CleanFolder(tmp_path, in_memory=True), CleanFolder(tmp_path, in_memory=True)

    one[0]

    assert one == other
    assert repr(one) == repr(other)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    save(tmp_path / "a" / "1.png")

    with pytest.raises(DataError, match=r"^no folder .*nowhere: --data DIR or DINO_IR_DATA"):
        CleanFolder(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"^no folder .*b: --data DIR"):
        CleanFolder(tmp_path, folders=["a", "b"])


@pytest.mark.parametrize("folders", [None, [], ["empty"]])
def test_folders_without_photos_are_refused(tmp_path, folders):
    (tmp_path / "empty").mkdir()

    with pytest.raises(
        DataError, match=r"^no photos in .*: put some there, or give another folder by --data$"
    ):
        CleanFolder(tmp_path, folders=folders)


def test_two_photos_of_one_name_are_refused(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / "a.jpg")

    with pytest.raises(DataError, match=r"a\.jpg and a\.png have one name: keep one, or rename one$"):
        CleanFolder(tmp_path)


def test_an_unreadable_photo_is_named_when_it_is_read(tmp_path):
    (tmp_path / "a.png").write_bytes(b"not a photo")

    with pytest.raises(ImageError, match=r"a\.png is not an image"):
        CleanFolder(tmp_path)[0]


def test_photos_are_enlarged_bilinearly(tmp_path):
    ramp = np.repeat(np.arange(0, 80, 10, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(4, axis=0)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")

    clean = CleanFolder(tmp_path, enlarge=2.5)[0].clean

    assert clean.shape == (3, 10, 20)
    assert clean.dtype == torch.uint8
    # Between the middles of the outermost pixels, a ramp of 10 a pixel becomes one of 4.
    assert (clean[0, 0, 2:-2].float().diff() - 4).abs().max() <= 1


def test_shrunk_photos_keep_twice_as_fine_colours(tmp_path):
    """Stripes of one mean, two pixels wide, are one pixel wide then."""
    stripes = np.tile(np.array([[200, 0, 50], [200, 0, 50], [50, 0, 200], [50, 0, 200]], np.uint8), (8, 4, 1))
    Image.fromarray(stripes).save(tmp_path / "stripes.png")

    clean = CleanFolder(tmp_path, shrink=2)[0].clean

    assert clean.shape == (3, 4, 8)
    # The filter is a triangle four pixels wide: a quarter of what a pixel shows is its neighbours'.
    expected = torch.tensor([162.5, 87.5]).repeat(4)[2:-2]
    assert (clean[0, :, 2:-2] - expected).abs().max() <= 0.5
    assert (clean[2, :, 2:-2] - (250 - expected)).abs().max() <= 0.5


def test_vivid_photos_keep_their_greys_and_are_clipped(tmp_path):
    colours = np.array([[[100, 110, 120], [77, 77, 77], [250, 20, 0]]], np.uint8)
    Image.fromarray(colours).save(tmp_path / "a.png")

    vivid = CleanFolder(tmp_path, vivid=1.5)[0].clean

    assert vivid[:, 0].T.tolist() == [[95, 110, 125], [77, 77, 77], [255, 0, 0]]


def test_vivid_colours_are_clipped_before_they_are_made_pale(tmp_path):
    Image.fromarray(np.array([[[250, 20, 0]]], np.uint8)).save(tmp_path / "a.png")

    changed = CleanFolder(tmp_path, vivid=1.5, pale=0.5)[0].clean

    assert changed.flatten().tolist() == [198, 70, 70]  # halfway from [255, 0, 0] to 140.25


def test_the_smallest_photo_is_shrunk_to_itself(tmp_path):
    Image.fromarray(np.full((1, 1, 3), 7, np.uint8)).save(tmp_path / "a.png")

    assert CleanFolder(tmp_path, shrink=8)[0].clean.flatten().tolist() == [7, 7, 7]


def test_photos_are_not_made_both_larger_and_smaller(tmp_path):
    save(tmp_path / "a.png")

    with pytest.raises(ValueError, match=r"larger or smaller, not both: enlarge = 2, shrink = 1\.5"):
        CleanFolder(tmp_path, enlarge=2, shrink=1.5)


@pytest.mark.parametrize("option", ["enlarge", "shrink", "vivid"])
@pytest.mark.parametrize("factor", [0.5, 9, float("nan")])
def test_changes_beyond_sense_are_refused(tmp_path, option, factor):
    save(tmp_path / "a.png")

    with pytest.raises(ValueError, match=f"{option} is a number from 1 to 8, got"):
        CleanFolder(tmp_path, **{option: factor})


def test_pale_photos_lose_contrast_everywhere_alike(tmp_path):
    numbers = torch.arange(256, dtype=torch.uint8).reshape(16, 16).expand(3, -1, -1)
    Image.fromarray(numbers.movedim(0, 2).numpy()).save(tmp_path / "a.png")

    pale = CleanFolder(tmp_path, pale=0.4)[0].clean

    expected = 0.6 * numbers + 0.4 * 0.55 * 255
    assert (pale - expected).abs().max() <= 0.5 + 1e-3
    assert torch.equal(CleanFolder(tmp_path)[0].clean, numbers)


@pytest.mark.parametrize("pale", [-0.1, 1.0, float("nan")])
def test_a_loss_of_contrast_beyond_all_of_it_is_refused(tmp_path, pale):
    with pytest.raises(ValueError, match="pale is a number from 0 to below 1, got"):
        CleanFolder(tmp_path, pale=pale)
