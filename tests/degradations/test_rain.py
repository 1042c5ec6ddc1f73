import math

import numpy as np
import pytest
import scipy.ndimage
import torch

from dino_ir.degradations.rain import Rain

STRENGTHS = ["light", "medium", "heavy", "dense"]


def draws(degradation, count, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return [degradation.draw(rng) for _ in range(count)]


def layer_of(angle=0.3, length=24.0, drops=0.002, seed=5, **others):
    return {
        "length": length,
        "width": 0.8,
        "angle": angle,
        "drops": drops,
        "opacity": 0.9,
        "seed": seed,
    } | others


def rain_of(*layers, light=1.0, veil=0.0, adds=True):
    return {"layers": list(layers), "light": light, "veil": veil, "adds": adds}


def rain_on(image, parameters):
    return Rain(rounded=False).apply(image[None], [parameters])[0]


def lean(streaks):
    """The angle from upright of [H, W], by its structure tensor; positive leans right at the top."""
    smooth = scipy.ndimage.gaussian_filter(streaks.double().numpy(), 1.5, mode="wrap")
    down, right = np.gradient(smooth)
    # Brightness changes least along the streaks, so most across them.
    return 0.5 * math.atan2(2 * (right * down).sum(), (right * right - down * down).sum())


@pytest.mark.parametrize("strength", STRENGTHS)
def test_rain_that_adds_only_brightens(strength):
    image = torch.rand(1, 3, 37, 31, generator=torch.Generator().manual_seed(1)).mul(255).round() / 255

    for parameters in draws(Rain(strength), 10):
        rainy = Rain(strength).apply(image, [parameters | {"veil": 0.0, "adds": True}])

        assert (rainy >= image).all()
        assert rainy.max() <= 1


def test_rain_that_adds_brings_the_same_light_everywhere():
    rain = rain_of(layer_of())

    on_black, on_grey = rain_on(torch.zeros(3, 64, 64), rain), rain_on(torch.full((3, 64, 64), 0.3), rain)

    torch.testing.assert_close(on_grey, (on_black + 0.3).clamp(max=1))


def test_rain_that_covers_mixes_the_scene_with_its_light():
    rain = rain_of(layer_of(), light=0.8, adds=False)

    on_black, on_light = rain_on(torch.zeros(3, 64, 64), rain), rain_on(torch.full((3, 64, 64), 0.8), rain)

    assert 0 <= on_black.min() <= on_black.max() <= 0.8
    assert on_black.max() > 0.2
    torch.testing.assert_close(on_light, torch.full((3, 64, 64), 0.8))


@pytest.mark.parametrize("adds", [False, True])
def test_without_streaks_a_veil_mixes_in_its_light(adds):
    image = torch.rand(3, 37, 31)

    rainy = rain_on(image, rain_of(veil=0.25, light=0.9, adds=adds))

    torch.testing.assert_close(rainy, 0.75 * image + 0.25 * 0.8 * 0.9)


def test_rain_is_grey():
    rainy = rain_on(torch.zeros(3, 37, 31), rain_of(layer_of(drops=0.01)))

    assert torch.equal(rainy[0], rainy[1])
    assert torch.equal(rainy[1], rainy[2])


@pytest.mark.parametrize("angle", [-0.8, -0.3, 0.0, 0.2, 0.6])
def test_streaks_lean_as_drawn(angle):
    rainy = rain_on(torch.zeros(3, 128, 128), rain_of(layer_of(angle)))

    assert lean(rainy[0]) == pytest.approx(angle, abs=0.05)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_drawn_layers_lean_as_their_parameters_say(strength):
    for parameters in draws(Rain(strength), 12):
        layer = parameters["layers"][0]
        rainy = rain_on(torch.zeros(3, 160, 160), rain_of(layer))

        assert lean(rainy[0]) == pytest.approx(layer["angle"], abs=0.1)


def test_streaks_brightness_is_that_of_their_drops():
    # Few enough to seldom lie on each other: drops x mean brightness x the area of a streak.
    layer = layer_of(drops=5e-4, opacity=1.0)

    means = [rain_on(torch.zeros(3, 128, 128), rain_of(layer | {"seed": i})).mean() for i in range(200)]

    expected = 5e-4 * (0.3 + 0.7 / 2) * 0.75 * 24 * 0.8 * (2 * math.pi) ** 0.5
    assert float(torch.stack(means).mean()) == pytest.approx(expected, rel=0.1)


def test_longer_streaks_reach_further_along_their_way():
    def reach(length):
        streaks = rain_on(torch.zeros(3, 128, 128), rain_of(layer_of(0.0, length)))[0].double()
        streaks = streaks - streaks.mean()
        return (streaks[20:] * streaks[:-20]).mean() / streaks.square().mean()

    assert reach(12.0) < 0.1
    assert reach(60.0) > 0.3


def test_heavier_rain_damages_more():
    image = torch.rand(3, 48, 48, generator=torch.Generator().manual_seed(1)) / 2

    light, medium, heavy, dense = (
        torch.stack(
            [(rain_on(image, each) - image).abs().mean() for each in draws(Rain(strength), 40)]
        ).mean()
        for strength in STRENGTHS
    )

    assert 1.5 * light < medium
    assert 1.5 * medium < heavy
    assert heavy < dense


def test_half_of_the_rains_add_and_strengths_are_drawn_alike():
    drawn = draws(Rain(), 600)

    adding = sum(each["adds"] for each in drawn)
    crowded = sum(len(each["layers"]) > 2 for each in drawn)

    assert abs(adding - 300) < 5 * 150**0.5
    # Only heavy rain, a third of all, has more than two layers, in two of four cases.
    assert abs(crowded - 100) < 5 * 83**0.5


def test_dense_rain_adds_always_and_is_drawn_by_name_only():
    dense = draws(Rain("dense"), 40)

    assert all(each["adds"] and each["veil"] == 0 for each in dense)
    assert min(layer["length"] for each in dense for layer in each["layers"]) >= 60
    # Any other rain has a veil, however thin.
    assert not any(each["adds"] and each["veil"] == 0 for each in draws(Rain(), 200))


def test_layers_of_one_rain_differ_in_their_drops():
    parameters = next(each for each in draws(Rain("heavy"), 20) if len(each["layers"]) > 1)

    seeds = [layer["seed"] for layer in parameters["layers"]]

    assert len(set(seeds)) == len(seeds)


def test_the_result_is_rounded_to_8_bits():
    steps = Rain().apply(torch.rand(1, 3, 37, 31), draws(Rain(), 1)) * 255

    torch.testing.assert_close(steps, steps.round(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("strength", ["", "strong", 3])
def test_unknown_strengths_are_refused(strength):
    with pytest.raises(ValueError, match="strength is one of light, medium, heavy, dense, got"):
        Rain(strength)
