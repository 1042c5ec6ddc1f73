import pytest
import torch

from dino_ir.degradations.gaussian_blur import GaussianBlur
from dino_ir.degradations.gaussian_noise import GaussianNoise
from dino_ir.degradations.haze import Haze
from dino_ir.demo import read_photos
from dino_ir.estimation import KINDS, MODEL, estimate, estimate_parts, weigh
from dino_ir.ops.random import seeded


def photo():
    """One that looks like any."""
    return read_photos()["chelsea"]


def damaged(degradation, clean, seed=0):
    return degradation.apply(clean[None], [degradation.draw(seeded(seed))])[0]


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (31, 64), (64, 31)])
def test_of_a_tiny_photo_nothing_is_said(size):
    assert estimate(torch.rand(3, *size)) is None


@pytest.mark.parametrize("size", [(32, 32), (32, 3000), (321, 481)])
@pytest.mark.parametrize("fill", ["noise", "black", "white"])
def test_strengths_are_numbers_above_0_whatever_the_photo(size, fill):
    photo = torch.rand(3, *size) if fill == "noise" else torch.full((3, *size), float(fill == "white"))

    found = estimate(photo)

    assert found is not None
    assert found.keys() <= set(KINDS)
    assert all(0 < strength < float("inf") for strength in found.values())


def test_an_answer_is_the_same_every_time_and_the_photo_stays():
    degraded = damaged(GaussianNoise(25), photo())
    before = degraded.clone()

    assert estimate(degraded) == estimate(degraded)
    assert torch.equal(degraded, before)


def test_a_photo_in_rows_is_the_photo():
    degraded = torch.nn.functional.interpolate(damaged(GaussianNoise(25), photo())[None], scale_factor=3)[0]
    widest = 0

    def read(top, left, bottom, right):
        nonlocal widest
        widest = max(widest, (bottom - top) * (right - left))
        return degraded[:, top:bottom, left:right]

    assert estimate_parts((degraded.shape[1], degraded.shape[2]), read) == estimate(degraded)
    assert widest < degraded[0].numel() / 3


@pytest.mark.parametrize("sigma", [10, 25, 50])
def test_noise_is_found_with_its_sigma(sigma):
    found = estimate(damaged(GaussianNoise(sigma), photo()))

    assert found is not None
    assert found["noise"] == pytest.approx(sigma, rel=0.25)


def test_blur_and_haze_are_found():
    blurred, hazy = (damaged(each, photo()) for each in (GaussianBlur(2.5), Haze(beta=1.5)))

    assert "blur" in (estimate(blurred) or {})
    assert "haze" in (estimate(hazy) or {})


def test_of_many_photos_each_is_weighed_by_itself():
    rng = seeded(0)
    features, hidden, kinds = 7, 5, len(KINDS)
    model = {
        "mean": torch.randn(features, generator=rng),
        "deviation": torch.rand(features, generator=rng) + 1,
        "inner.weight": torch.randn(hidden, features, generator=rng),
        "inner.bias": torch.randn(hidden, generator=rng),
        "outer.weight": torch.randn(2 * kinds, hidden, generator=rng),
        "outer.bias": torch.randn(2 * kinds, generator=rng),
    }
    traces = torch.randn(6, features, generator=rng)

    chances, strengths = weigh(traces, model)

    assert chances.shape == strengths.shape == (6, kinds)
    assert ((chances >= 0) & (chances <= 1)).all()
    assert (strengths > 0).all()
    for row in range(6):
        alone = weigh(traces[row], model)
        torch.testing.assert_close((chances[row], strengths[row]), alone)


def test_the_model_in_the_package_is_small():
    assert MODEL.stat().st_size < 100_000
