import pytest
import torch

from dino_ir.errors import ImageError
from dino_ir.files.images import Photo, read_photo, write_photo
from dino_ir.side_by_side import GAP, write_side_by_side


def test_the_photo_is_left_the_result_right_and_white_between(tmp_path):
    dark, bright = torch.full((3, 40, 56), 0.2), torch.full((3, 40, 56), 0.8)

    write_side_by_side(tmp_path / "a.jpg", dark, bright)

    picture = read_photo(tmp_path / "a.jpg").pixels
    assert picture.shape == (3, 40, 2 * 56 + GAP)
    assert (picture[:, :, :48] - 0.2).abs().max() < 0.02
    assert (picture[:, :, 56 + GAP + 8 :] - 0.8).abs().max() < 0.02
    assert picture[:, :, 57:59].min() > 0.9


@pytest.mark.parametrize(("size", "shown"), [((30, 60), (10, 20)), ((60, 30), (20, 10))])
def test_large_photos_are_shrunk_to_the_longer_side_and_keep_their_shape(tmp_path, size, shown):
    photo = torch.rand(3, *size)

    write_side_by_side(tmp_path / "a.jpg", photo, photo, side=20)

    assert read_photo(tmp_path / "a.jpg").pixels.shape == (3, shown[0], 2 * shown[1] + GAP)


def test_files_of_any_depth_and_grey_ones_can_be_compared(tmp_path):
    write_photo(tmp_path / "before.png", Photo(torch.rand(1, 20, 30), bits=16))
    write_photo(tmp_path / "after.jpg", Photo(torch.rand(1, 20, 30)))

    write_side_by_side(tmp_path / "a.jpg", tmp_path / "before.png", tmp_path / "after.jpg")

    assert read_photo(tmp_path / "a.jpg").pixels.shape[1:] == (20, 60 + GAP)


def test_what_cannot_be_read_is_named_and_nothing_is_left(tmp_path):
    (tmp_path / "text.png").write_text("no picture")

    with pytest.raises(ImageError, match=r"text\.png cannot be shown"):
        write_side_by_side(tmp_path / "a.jpg", tmp_path / "text.png", torch.rand(3, 9, 9))

    assert [each.name for each in tmp_path.iterdir()] == ["text.png"]
