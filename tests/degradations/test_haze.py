import numpy as np
import pytest
import scipy.stats
import torch

from dino_ir.degradations.haze import Haze

AIR = [0.8, 0.9, 1.0]


def parameters_of(beta, air=AIR, near=0.2):
    return {"beta": beta, "air": list(air), "near": near, "slope": 0.3, "bumps": 0.4, "seed": 5}


def draws(degradation, count):
    rng = torch.Generator().manual_seed(0)
    return [degradation.draw(rng) for _ in range(count)]


def made_depth(parameters, size=(37, 31)):
    """The depth that was made for a scene, read from the haze on a black image of it."""
    black = torch.zeros(1, 3, *size)
    hazy = Haze(rounded=False).apply(black, [parameters])[0, 0].double()
    return -torch.log(1 - hazy / parameters["air"][0]) / parameters["beta"]


def test_haze_with_depth_follows_the_formula():
    images, depth = torch.rand(2, 3, 37, 31), 3 * torch.rand(2, 1, 37, 31)
    parameters = [parameters_of(0.7), parameters_of(2.0, air=[0.6, 0.5, 0.4])]

    hazy = Haze(rounded=False).apply(images, parameters, depth)

    for i, each in enumerate(parameters):
        t = np.exp(-each["beta"] * depth[i].double().numpy())
        expected = images[i].double().numpy() * t + np.array(each["air"])[:, None, None] * (1 - t)
        np.testing.assert_allclose(hazy[i], expected, atol=1e-6)


def test_without_scattering_the_picture_stays():
    image = torch.randint(0, 256, (1, 3, 37, 31)).float() / 255

    parameters = Haze(beta=0).draw(torch.Generator().manual_seed(0))

    assert torch.equal(Haze(beta=0).apply(image, [parameters]), image)


def test_at_depth_0_there_is_no_haze_and_far_away_nothing_else():
    image = torch.rand(1, 3, 5, 7)
    depth = torch.zeros(1, 1, 5, 7)
    depth[..., 4:] = 1e4

    hazy = Haze(rounded=False).apply(image, [parameters_of(1.0)], depth)

    torch.testing.assert_close(hazy[..., :4], image[..., :4])
    torch.testing.assert_close(hazy[..., 4:], torch.tensor(AIR)[None, :, None, None].expand(1, 3, 5, 3))


def test_the_result_is_rounded_to_8_bits():
    steps = Haze().apply(torch.rand(1, 3, 37, 31), [parameters_of(1.0)]) * 255

    torch.testing.assert_close(steps, steps.round(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("near", [0.0, 0.2, 0.5])
def test_a_made_depth_runs_from_near_to_1(near):
    depth = made_depth(parameters_of(1.5, near=near))

    assert float(depth.min()) == pytest.approx(near, abs=1e-4)
    assert float(depth.max()) == pytest.approx(1, abs=1e-4)


def test_made_depths_recede_towards_the_top():
    depths = torch.stack([made_depth(each) for each in draws(Haze(), 40)])

    rows = depths.mean(dim=(0, 2))

    assert (rows.diff() < 0).all()


def test_made_depths_are_smooth_and_differ():
    depths = torch.stack([made_depth(each, size=(64, 64)) for each in draws(Haze(), 10)])

    steps = torch.cat([depths.diff(dim=1).flatten(), depths.diff(dim=2).flatten()])

    assert steps.abs().max() < 0.1
    assert torch.corrcoef(depths.flatten(1)).fill_diagonal_(0).max() < 0.999


def test_betas_and_airlights_fill_their_ranges():
    drawn = draws(Haze(beta=[0.5, 2.5], air=[0.4, 0.8]), 500)

    beta = np.array([each["beta"] for each in drawn])
    air = np.array([each["air"] for each in drawn])

    assert scipy.stats.kstest((beta - 0.5) / 2, "uniform").pvalue > 1e-3
    assert scipy.stats.kstest((air.mean(axis=1) - 0.4) / 0.4, "uniform").pvalue > 1e-3


def test_a_tint_moves_the_channels_and_not_their_mean():
    air = np.array([each["air"] for each in draws(Haze(air=0.6, tint=0.06), 200)])

    np.testing.assert_allclose(air.mean(axis=1), 0.6, atol=1e-6)
    assert 0.04 < np.abs(air - 0.6).max() <= 0.06 * 4 / 3


def test_without_tint_the_air_is_grey():
    assert Haze(beta=1.3, air=0.9, tint=0).draw(torch.Generator())["air"] == pytest.approx([0.9] * 3)


@pytest.mark.parametrize("air", [0.0, 1.0])
def test_tinted_air_stays_a_colour(air):
    drawn = np.array([each["air"] for each in draws(Haze(air=air, tint=0.3), 100)])

    assert 0 <= drawn.min() <= drawn.max() <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": -0.1}, r"beta is a number or a pair \[low, high\] from 0 to inf, got \[-0.1, -0.1\]"),
        ({"beta": [2, 1]}, "beta is"),
        ({"beta": [1, 2, 3]}, r"a range is a pair \[low, high\], got \[1, 2, 3\]"),
        ({"beta": float("nan")}, "beta is"),
        ({"air": 1.1}, r"air is a number or a pair \[low, high\] from 0 to 1.0, got \[1.1, 1.1\]"),
        ({"air": [0.9, 0.8]}, "air is"),
        ({"air": [-0.1, 0.8]}, "air is"),
        ({"tint": -0.1}, "tint is a number from 0 to 1, got -0.1"),
        ({"tint": 2}, "tint is"),
    ],
)
def test_what_is_no_haze_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Haze(**options)
