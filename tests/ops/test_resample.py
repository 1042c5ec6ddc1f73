import pytest
import torch
import torch.nn.functional as F

from dino_ir.ops.resample import resize, sample_box, size_of_area

WHOLE = torch.tensor([[0.0, 0.0, 1.0, 1.0]])


def test_resize_keeps_a_flat_image_flat_and_its_own_size():
    flat = torch.full((1, 3, 40, 30), 0.3)

    torch.testing.assert_close(resize(flat, (13, 17)), torch.full((1, 3, 13, 17), 0.3))
    assert resize(flat, (40, 30)) is flat


@pytest.mark.parametrize("size", [(224, 224), (4000, 6000), (1, 5000), (37, 31), (300, 200)])
def test_size_of_area_keeps_area_and_shape(size):
    height, width = size_of_area(*size, side=224, multiple=16)

    assert height % 16 == width % 16 == 0
    assert min(height, width) >= 16
    if max(size) < 3 * min(size):
        assert height * width == pytest.approx(224 * 224, rel=0.1)
        assert height / width == pytest.approx(size[0] / size[1], rel=0.15)
    else:
        assert height * width <= 224 * 224


@pytest.mark.parametrize("size", [(8, 12), (5, 3), (16, 24), (1, 1)])
def test_the_whole_box_is_plain_interpolation(size):
    maps = torch.rand(2, 5, 8, 12)

    sampled = sample_box(maps, WHOLE.expand(2, 4), size)

    torch.testing.assert_close(sampled, F.interpolate(maps, size, mode="bilinear"), rtol=1e-5, atol=1e-5)


def test_a_box_on_cell_borders_is_a_slice():
    maps = torch.rand(1, 5, 8, 12)

    sampled = sample_box(maps, torch.tensor([[2 / 8, 3 / 12, 6 / 8, 9 / 12]]), (4, 6))

    torch.testing.assert_close(sampled, maps[..., 2:6, 3:9], rtol=1e-5, atol=1e-5)


def test_a_box_from_right_to_left_is_mirrored():
    maps, box = torch.rand(1, 5, 8, 12), torch.tensor([[0.1, 0.2, 0.7, 0.9]])

    mirrored = sample_box(maps, box[:, [0, 3, 2, 1]], (7, 9))

    torch.testing.assert_close(mirrored, sample_box(maps, box, (7, 9)).flip(-1))


def test_each_map_has_its_own_box():
    maps = torch.rand(2, 5, 8, 12)
    boxes = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.5, 0.25, 1.0, 0.75]])

    together = sample_box(maps, boxes, (7, 9))

    alone = torch.cat([sample_box(maps[i : i + 1], boxes[i : i + 1], (7, 9)) for i in range(2)])
    torch.testing.assert_close(together, alone)
