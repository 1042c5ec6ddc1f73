import io

import numpy as np
import PIL.Image
import pytest
import torch

from dino_ir.degradations.jpeg import JPEG


def smooth(height=40, width=56):
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    return torch.stack([y, x, 1 - x])[None]


@pytest.mark.parametrize("quality", [10, 75, 95])
@pytest.mark.parametrize("subsampled", [False, True])
def test_it_is_what_pillow_writes_at_that_quality(quality, subsampled):
    image = torch.rand(1, 3, 40, 56, generator=torch.Generator().manual_seed(0)) * 0.2 + smooth() * 0.8

    compressed = JPEG(subsampled=subsampled).apply(image, [{"quality": quality}])

    stored = io.BytesIO()
    array = (image[0].permute(1, 2, 0) * 255).round().byte().numpy()
    PIL.Image.fromarray(array).save(stored, "JPEG", quality=quality, subsampling=2 if subsampled else 0)
    expected = np.asarray(PIL.Image.open(stored).convert("RGB")).transpose(2, 0, 1)
    # Both use libjpeg's tables, but their builds differ in how colours are rounded.
    difference = (compressed[0] * 255 - torch.from_numpy(expected.copy()).float()).abs()
    assert difference.mean() < 0.5
    assert difference.max() <= 6


def test_a_higher_quality_loses_less():
    image = torch.rand(1, 3, 40, 56, generator=torch.Generator().manual_seed(0))

    losses = [(JPEG().apply(image, [{"quality": q}]) - image).square().mean() for q in (10, 50, 95)]

    assert losses[0] > losses[1] > losses[2] > 0


def test_qualities_are_drawn_from_the_whole_range():
    rng = torch.Generator().manual_seed(0)

    drawn = {JPEG((30, 33)).draw(rng)["quality"] for _ in range(100)}

    assert drawn == {30, 31, 32, 33}


@pytest.mark.parametrize("quality", [0, 101, (95, 40), (0, 50)])
def test_qualities_that_libjpeg_does_not_have_are_refused(quality):
    with pytest.raises(ValueError, match=r"quality is a number or a pair \[low, high\] from 1 to 100, got"):
        JPEG(quality)
