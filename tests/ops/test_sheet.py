import pytest
import pyvips
import torch

from dino_ir.ops.sheet import GAP, LINE, sheet


def grey(height, width, value=0.25):
    return torch.full((3, height, width), value)


def test_a_picture_alone_is_the_sheet():
    picture = torch.rand(3, 5, 7)

    assert torch.equal(sheet([[picture]]), picture)


@pytest.mark.parametrize("gap", [0, 1, GAP])
def test_pictures_keep_their_pixels_and_white_lies_between(gap):
    rows = [[torch.rand(3, 5, 7), torch.rand(3, 5, 9)], [torch.rand(3, 4, 7), torch.rand(3, 4, 9)]]

    laid = sheet(rows, gap=gap)

    assert laid.shape == (3, 9 + gap, 16 + gap)
    assert torch.equal(laid[:, :5, :7], rows[0][0])
    assert torch.equal(laid[:, :5, 7 + gap :], rows[0][1])
    assert torch.equal(laid[:, 5 + gap :, :7], rows[1][0])
    assert torch.equal(laid[:, 5 + gap :, 7 + gap :], rows[1][1])
    assert laid[:, 5 : 5 + gap].eq(1).all()
    assert laid[:, :, 7 : 7 + gap].eq(1).all()


def test_smaller_pictures_are_centred_in_their_place():
    laid = sheet([[grey(10, 4), grey(6, 8)], [grey(3, 4), grey(3, 4)]], gap=2)

    right_above, right_below = laid[:, :10, 6:], laid[:, 12:, 6:]

    assert torch.equal(right_above[:, 2:8], grey(6, 8))
    assert right_above[:, [0, 1, 8, 9]].eq(1).all()
    assert torch.equal(right_below[:, :, 2:6], grey(3, 4))
    assert right_below[:, :, [0, 1, 6, 7]].eq(1).all()


def test_a_short_row_is_filled_with_white():
    laid = sheet([[grey(5, 7)], [grey(5, 7), grey(5, 9)]], gap=3)

    assert laid.shape == (3, 13, 19)
    assert laid[:, :5, 7:].eq(1).all()


def test_labels_are_a_line_above_the_columns():
    pictures = [grey(5, 60), grey(5, 80), grey(5, 40)]

    laid = sheet([pictures], labels=["haze", "rain & <snow>"], gap=4)

    strip, below = laid[:, :LINE], laid[:, LINE + 4 :]
    assert torch.equal(below, sheet([pictures], gap=4))
    assert 0 <= strip.min() <= strip.max() == 1
    assert strip[:, :, 148:].eq(1).all()


def test_labels_are_black_on_white_where_there_are_fonts():
    try:
        pyvips.Image.text("haze")
    except pyvips.Error:
        pytest.skip("this system has no fonts")

    strip = sheet([[grey(5, 60)]], labels=["haze"])[:, :LINE]

    assert strip.min() < 0.3
    assert strip.mean() > 0.7


@pytest.mark.parametrize(
    "label", ["", " ", "much longer than the picture is wide", "two\nlines\nand a third"]
)
def test_no_label_changes_the_size(label):
    laid = sheet([[grey(5, 20)]], labels=[label], gap=4)

    assert laid.shape == (3, LINE + 4 + 5, 20)
    assert 0 <= laid.min() <= laid.max() <= 1


def test_the_pictures_stay_as_they_are():
    pictures = [torch.rand(3, 5, 7), torch.rand(3, 4, 4)]
    copies = [picture.clone() for picture in pictures]

    sheet([pictures]).zero_()

    assert all(torch.equal(picture, copy) for picture, copy in zip(pictures, copies))
