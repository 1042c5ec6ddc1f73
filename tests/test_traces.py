import math

import pytest
import torch

from dino_ir.ops.random import seeded, uniform
from dino_ir.traces import SMALLEST, cut_pieces, find_traces, shrink

SIZES = [(32, 32), (33, 500), (321, 481), (700, 32), (600, 700)]


def traces(photo):
    return find_traces(cut_pieces(photo), shrink(photo))


@pytest.mark.parametrize("size", SIZES)
def test_pieces_are_the_photos_own_pixels_at_its_corners_too(size):
    photo = uniform([0], (3, *size))[0]

    pieces = cut_pieces(photo)

    count, _, height, width = pieces.shape
    assert count <= 16
    assert max(height, width) <= 128
    assert height % 16 == width % 16 == 0
    assert torch.equal(pieces[0], photo[:, :height, :width])
    assert torch.equal(pieces[-1], photo[:, -height:, -width:])


@pytest.mark.parametrize("size", SIZES)
def test_a_thumbnail_is_small_and_keeps_even_colours(size):
    photo = torch.full((3, *size), 0.25)

    small = shrink(photo)

    assert max(small.shape[-2:]) <= 192 or min(small.shape[-2:]) < 32
    assert min(small.shape[-2:]) >= 16
    torch.testing.assert_close(small, torch.full_like(small, 0.25))


@pytest.mark.parametrize("size", SIZES)
def test_any_photo_gives_as_many_finite_numbers(size):
    rng = seeded(0)
    photos = [torch.rand(3, *size, generator=rng), torch.zeros(3, *size), torch.ones(3, *size)]

    found = torch.stack([traces(photo) for photo in photos])

    assert found.isfinite().all()
    assert found.shape[1] == traces(torch.rand(3, SMALLEST, SMALLEST)).shape[0]


def test_brightness_alone_leaves_no_trace_in_details():
    pieces, thumbnail = torch.rand(4, 3, 64, 64) / 2, torch.full((3, 64, 64), 0.5)

    darker, brighter = find_traces(pieces, thumbnail), find_traces(pieces + 0.5, thumbnail)

    torch.testing.assert_close(darker, brighter, atol=1e-3, rtol=1e-3)


def test_twice_the_noise_is_a_step_of_log_2_in_the_finest_band():
    noise = torch.randn(8, 3, 128, 128, generator=seeded(0)) * 0.05
    thumbnail = torch.full((3, 64, 64), 0.5)

    once, twice = (find_traces(0.5 + scale * noise, thumbnail)[6] for scale in (1, 2))

    assert float(twice - once) == pytest.approx(math.log(2), abs=0.02)
