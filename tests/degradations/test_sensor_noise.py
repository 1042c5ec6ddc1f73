import math

import pytest
import torch

from dino_ir.degradations.sensor_noise import SensorNoise


def noise_of(value, **parameters):
    image = torch.full((1, 3, 200, 300), value)
    given = {"shot": 0.0, "read": 0.0, "grain": 0.0, "seed": 1, **parameters}
    return (SensorNoise(rounded=False).apply(image, [given]) - image) * 255


@pytest.mark.parametrize("value", [0.2, 0.5, 0.75])  # nothing is clipped there
@pytest.mark.parametrize("grain", [0.0, 0.5, 1.0])
def test_its_variance_is_that_of_shot_and_read_noise(value, grain):
    noise = noise_of(value, shot=12.0, read=5.0, grain=grain)

    # 180,000 numbers, fewer independent ones with grain: three standard errors are within 3 %.
    assert noise.std() == pytest.approx((value * 12**2 + 5**2) ** 0.5, rel=0.03)
    assert noise.mean().abs() < 0.15


def test_grain_makes_neighbours_alike():
    def likeness(grain):
        noise = noise_of(0.5, read=10.0, grain=grain)
        return (noise[..., 1:] * noise[..., :-1]).mean() / noise.var()

    # A Gaussian of deviation g correlates neighbours by exp(-1 / 4g^2).
    assert likeness(0.0) == pytest.approx(0, abs=0.01)
    assert likeness(1.0) == pytest.approx(math.exp(-0.25), abs=0.02)


def test_parameters_are_drawn_within_their_ranges():
    rng = torch.Generator().manual_seed(0)
    noise = SensorNoise(shot=(1, 2), read=3, grain=(0.25, 0.5))

    drawn = [noise.draw(rng) for _ in range(50)]

    assert all(1 <= each["shot"] <= 2 and each["read"] == 3 for each in drawn)
    assert all(0.25 <= each["grain"] <= 0.5 for each in drawn)


@pytest.mark.parametrize(
    "options", [{"shot": -1}, {"read": (3, 2)}, {"grain": 1.5}, {"grain": (0, 2)}, {"shot": float("nan")}]
)
def test_noise_that_cannot_be_is_refused(options):
    (name,) = options
    with pytest.raises(ValueError, match=rf"{name} is a number or a pair \[low, high\] from 0 to"):
        SensorNoise(**options)
