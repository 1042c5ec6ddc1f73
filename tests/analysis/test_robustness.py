import math
from statistics import pvariance

import pytest
import torch

from dino_ir.analysis.robustness import (
    DAMAGES,
    LADDERS,
    Recognition,
    Robustness,
    describe,
    deviations_as_markdown,
    measure_deviations,
    measure_recognition,
    pool,
    recognition_as_markdown,
    thumbnail,
)
from dino_ir.degradations.clear import Clear
from dino_ir.priors.dino_tiny import DINOTiny
from dino_ir.priors.patch_color import PatchColor

NOISE = {"noise": LADDERS["noise"]}


def photos(count=2, side=48):
    """Smooth pictures from black to white, unlike each other."""
    rng = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 6, 6, generator=rng)
    smooth = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic")
    low, high = smooth.amin(dim=(1, 2, 3), keepdim=True), smooth.amax(dim=(1, 2, 3), keepdim=True)
    return list((smooth - low) / (high - low))


def test_the_image_itself_follows_the_closed_form():
    (row,) = measure_deviations(lambda image: {"image": image}, photos(), NOISE)

    expected = {str(sigma): 20 * math.log10(255 / sigma) for sigma in range(10, 101, 10)}
    assert row.psnr == pytest.approx(expected, abs=0.2)  # of 2 x 6912 numbers
    assert row.variance == pytest.approx(36.5, abs=1.0)
    assert row.variance == pytest.approx(pvariance(expected.values()), rel=1e-4)


def test_an_embedding_is_linear_and_so_exactly_as_sensitive_to_unclipped_noise():
    prior = DINOTiny(**DINOTiny.tiny)

    image, embedding, _ = measure_deviations(lambda x: describe(x, prior, (0,), 48), photos(), NOISE)

    assert embedding.map == "patch embedding"
    assert embedding.variance == pytest.approx(image.variance, rel=1e-3)


def test_the_peak_shifts_all_levels_alike():
    def half_range(image):
        return {"all": image, "half": image / 2, "moved": image + 3}

    whole, half, moved = measure_deviations(half_range, photos(), NOISE)

    assert half.psnr == pytest.approx(whole.psnr)
    assert moved.psnr == pytest.approx(whole.psnr, abs=1e-3)


def test_the_signal_compares_maps_of_any_range():
    halves = torch.zeros(3, 32, 32)
    halves[:, :16] = 1  # range 1, deviation 1/2

    def with_an_outlier(image):
        outlier = torch.full((1, 3, 32, 32), 50.0)  # channels that say nothing, but set the range
        return {"image": image, "with outliers": torch.cat([image, outlier], dim=1)}

    image, other = measure_deviations(with_an_outlier, [halves], NOISE)

    assert image.crest == pytest.approx(20 * math.log10(2))
    assert image.signal == pytest.approx(image.mean - 20 * math.log10(2))
    assert other.mean > image.mean + 30
    assert other.signal == pytest.approx(image.signal)


def test_a_map_that_says_nothing_never_changes():
    def nothing(_image):
        return {"flat": torch.ones(1, 4, 2, 2), "pattern": torch.arange(16.0).view(1, 4, 2, 2)}

    rows = measure_deviations(nothing, photos())

    assert {row.variance for row in rows} == {0.0}
    assert {value for row in rows for value in row.psnr.values()} == {120.0}


def test_the_mean_colour_of_patches_averages_noise_out():
    prior = PatchColor(stride=16)

    image, color = measure_deviations(lambda x: describe(x, prior, (0,), 48), photos(), NOISE)

    assert color.psnr["50"] > image.psnr["50"] + 15  # 256 pixels: 24 dB, less the smaller range
    assert color.variance == pytest.approx(image.variance, rel=1e-4)  # averaging is linear


def test_more_damage_leaves_less():
    rows = measure_deviations(lambda image: {"image": image}, photos(1))

    for row in rows:
        values = list(row.psnr.values())
        if row.damage != "rain":  # whose kinds differ in more than strength
            assert values == sorted(values, reverse=True), row.damage
    assert [row.damage for row in rows] == list(LADDERS)


def test_describes_the_image_the_embedding_and_the_blocks():
    image = torch.rand(1, 3, 40, 60)

    maps = describe(image, DINOTiny(**DINOTiny.tiny), (0, 2), side=32)

    assert {name: tuple(map_.shape) for name, map_ in maps.items()} == {
        "image": (1, 3, 24, 40),
        "patch embedding": (1, 16, 3, 5),
        "block 0": (1, 16, 3, 5),
        "block 2": (1, 16, 3, 5),
    }


def test_a_prior_without_an_embedding_has_no_row_for_it():
    maps = describe(torch.rand(1, 3, 32, 32), PatchColor(), (0, 1), side=32)

    assert list(maps) == ["image", "block 0", "block 1"]


def test_the_pooled_mean_colour_is_the_images():
    image = torch.rand(1, 3, 32, 48)

    vector = pool(image, PatchColor(), 0, side=39)

    torch.testing.assert_close(vector, image.mean(dim=(0, 2, 3)))


def test_a_thumbnail_ignores_a_change_of_colour():
    image = torch.rand(1, 3, 32, 48)

    vector = thumbnail(image + torch.tensor([0.1, 0.2, -0.3]).view(3, 1, 1))

    assert vector.shape == (192,)
    torch.testing.assert_close(vector, thumbnail(image))


def test_identical_crops_are_always_recognised():
    rows = measure_recognition({"by thumbnail": thumbnail}, photos(5), {"none": Clear()}, shares=(1.0, 1.0))

    assert rows[0].recall == {"none": 1.0}


def test_a_vector_that_says_nothing_recognises_one_photo_of_all():
    (row,) = measure_recognition({"nothing": lambda _image: torch.ones(3)}, photos(5), {"none": Clear()})

    assert row.recall == {"none": 0.2}
    assert row.rank == 0


def test_the_rank_is_that_of_the_photos_vectors():
    axes = iter(torch.eye(4).repeat(2, 1))

    (row,) = measure_recognition({"axes": lambda _image: next(axes)}, photos(4), {"none": Clear()}, crops=1)

    assert row.rank == pytest.approx(3)  # four corners of a tetrahedron
    assert row.recall == {"none": 1.0}


def test_the_same_photos_give_the_same_rows():
    first, second = (measure_recognition({"by thumbnail": thumbnail}, photos(3), DAMAGES) for _ in range(2))

    assert first == second


def test_tables_show_the_mean_and_what_differs_from_it():
    rows = [
        Robustness("noise", "image", {"10": 30.0, "20": 24.0}, 6.0),
        Robustness("haze", "image", {"1": 20.0}, 6.0),
    ]

    assert deviations_as_markdown(rows) == (
        "| PSNR under noise | variance | mean | signal | 10 | 20 |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: |\n"
        "| image | 9.00 | 27.00 | 21.00 | +3.00 | -3.00 |\n\n"
        "| PSNR under haze | variance | mean | signal | 1 |\n"
        "| --- | ---: | ---: | ---: | ---: |\n"
        "| image | 0.00 | 20.00 | 14.00 | +0.00 |"
    )
    assert recognition_as_markdown([Recognition("name", 2.25, {"none": 1.0, "haze": 0.125})]) == (
        "| recognised by | effective rank | none | haze |\n"
        "| --- | ---: | ---: | ---: |\n"
        "| name | 2.2 | 100.0 % | 12.5 % |"
    )
