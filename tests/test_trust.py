import pytest
import torch

from dino_ir.degradations.gaussian_blur import GaussianBlur
from dino_ir.degradations.gaussian_noise import GaussianNoise
from dino_ir.degradations.haze import Haze
from dino_ir.degradations.rain import Rain
from dino_ir.errors import ImageError
from dino_ir.ops.random import seeded, uniform
from dino_ir.ops.resample import resize
from dino_ir.trust import (
    Survey,
    UntrustedError,
    find_problems,
    full_precision,
    restore_trusted,
    wants_full_precision,
)


def scene(height=192, width=256, seed=0):
    """Coarse colours and some grain, away from black and white."""
    coarse = resize(uniform([seed], (3, 3, 4)), (height, width))
    fine = uniform([seed + 1], (3, height, width))
    return (0.15 + 0.6 * coarse + 0.1 * fine)[0]


def damaged(degradation, clean):
    return degradation.apply(clean[None], [degradation.draw(seeded(0))])[0]


def cast(photo, *gains):
    return (photo * torch.tensor(gains)[:, None, None]).clamp(0, 1)


@pytest.mark.parametrize(
    "degradation",
    [
        GaussianNoise(5),
        GaussianNoise(50),
        GaussianBlur(3.0),
        Haze(beta=0.5),
        Haze(beta=2.2, air=(0.8, 0.8)),
        Rain("light"),
        Rain("heavy"),
        Rain("dense"),
    ],
    ids=str,
)
@pytest.mark.parametrize("seed", range(3))
def test_taking_all_of_the_damage_away_is_no_problem(degradation, seed):
    clean = scene(seed=10 * seed)

    assert find_problems(damaged(degradation, clean), clean) == ()


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (63, 65), (192, 256)])
def test_the_photo_itself_is_no_problem(size):
    photo = torch.rand(3, *size, generator=seeded(0))

    assert find_problems(photo, photo.clone()) == ()


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_an_even_photo_that_stays_is_no_problem(value):
    photo = torch.full((3, 128, 128), value)

    assert find_problems(photo, photo.clone()) == ()


def one_pixel(value):
    def spoil(restored):
        spoilt = restored.clone()
        spoilt[1, 5, 7] = value
        return spoilt

    return spoil


SABOTAGE = {
    "is of shape [3, 191, 256], not [3, 192, 256]": lambda restored: restored[:, 1:],
    "has values that are not numbers": one_pixel(float("nan")),
    "beyond [0, 1]": one_pixel(1.01),
    "beyond [0, 1] ": one_pixel(-0.01),
    "100% of the photo black": lambda restored: torch.zeros_like(restored),
    "100% of the photo black or white": lambda restored: torch.ones_like(restored),
    "of the photo's contrast": lambda restored: torch.full_like(restored, 0.5),
    "drifts in colour": lambda restored: cast(restored, 1.2, 1, 1),
    "drifts in colour ": lambda restored: restored.flip(0),
    "drifts in colour  ": lambda restored: restored**0.8,
    "drifts in colour   ": lambda restored: restored.flip(2),
    "drifts in colour    ": lambda restored: 1 - restored,
}


@pytest.mark.parametrize("problem", SABOTAGE)
def test_a_spoilt_result_is_said_to_be_so(problem):
    clean = scene()
    degraded = damaged(GaussianNoise(5), clean)

    assert any(problem.strip() in said for said in find_problems(degraded, SABOTAGE[problem](clean)))


def test_a_single_tile_that_went_wrong_is_seen():
    photo = scene(512, 768)
    restored = photo.clone()
    restored[:, 256:384, 128:256] += 0.06

    assert find_problems(photo, restored) == ("drifts in colour by 15 levels",)


def test_a_veil_may_go_but_not_one_that_was_never_there():
    clean = scene()
    transmission = 0.5

    hazy = clean * transmission + 1 - transmission

    assert find_problems(hazy, clean) == ()
    assert find_problems(clean, hazy) != ()


def test_a_shift_as_large_as_the_noise_that_is_gone_may_come_with_it():
    even, noise = torch.full((3, 128, 128), 0.5), 0.1 * torch.randn(3, 128, 128, generator=seeded(0))

    assert find_problems(even + noise, even + 0.1) == ()
    assert find_problems(even, even + 0.1) == ("drifts in colour by 26 levels",)


def survey_of(photo, restored, height, width):
    survey = Survey(photo.shape[-2:])
    for top in range(0, photo.shape[-2], height):
        for left in range(0, photo.shape[-1], width):
            rows, columns = slice(top, top + height), slice(left, left + width)
            survey.add(top, left, photo[:, rows, columns], restored[:, rows, columns])
    return survey


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (63, 65), (130, 199), (192, 256)])
@pytest.mark.parametrize("piece", [(64, 64), (37, 50), (11, 400)])
def test_pieces_tell_of_a_photo_what_the_whole_does(size, piece):
    photo = scene(*size)

    for spoil in (torch.zeros_like, lambda photo: photo.flip(0), lambda photo: photo):
        assert survey_of(photo, spoil(photo), *piece).problems() == find_problems(photo, spoil(photo))


def test_a_piece_that_goes_flat_in_a_photo_that_does_not_is_no_problem():
    sky = 0.7 + 0.02 * (torch.arange(256) // 64 % 2).expand(3, 192, 256)
    flat = sky.mean().expand_as(sky)
    land = scene()

    survey = survey_of(torch.cat([sky, land], dim=2), torch.cat([flat, land], dim=2), 96, 128)

    assert find_problems(sky, flat) == ("has 44% of the photo's contrast",)
    assert survey.problems() == ()


def test_a_photo_that_is_begun_anew_is_judged_by_its_last_pieces():
    photo = scene()
    survey = survey_of(photo, torch.zeros_like(photo), 64, 64)

    survey.add(0, 0, photo, photo.clone())

    assert survey.problems() == ()


def test_a_piece_without_numbers_is_no_longer_waited_for():
    photo = scene()

    with pytest.raises(UntrustedError, match="the result has values that are not numbers"):
        Survey(photo.shape[-2:]).add(0, 0, photo, photo * torch.nan)


class Tries:
    """Restorations that come out one way after the other; it notes how exact each was asked to be."""

    def __init__(self, photo, *results):
        self.photo, self.results = photo, list(results)
        self.were_exact = []

    def __call__(self):
        self.were_exact.append(not torch.is_autocast_enabled("cpu"))
        restored = self.results.pop(0)
        survey = Survey(self.photo.shape[-2:])
        survey.add(0, 0, self.photo, restored)
        survey.require_trust()
        return restored


def try_on(photo, *results):
    tries = Tries(photo, *results)
    with torch.autocast("cpu", torch.bfloat16):
        return restore_trusted(tries, lambda: photo, "cpu"), tries.were_exact


def test_a_good_result_is_taken_and_not_made_twice():
    photo = scene()
    restored = photo.clone()

    outcome, were_exact = try_on(photo, restored)

    assert outcome.made is restored
    assert (outcome.problems, outcome.is_original, were_exact) == ("", False, [False])


def test_a_problem_is_met_with_full_precision_and_told():
    photo = scene()
    restored = photo.clone()

    outcome, were_exact = try_on(photo, photo * torch.nan, restored)

    assert outcome.made is restored
    assert outcome.problems == "the result has values that are not numbers"
    assert (outcome.is_original, were_exact) == (False, [False, True])


def test_after_two_problems_the_photo_stays_as_it_was():
    photo = scene()

    outcome, were_exact = try_on(photo, torch.zeros_like(photo), photo * torch.nan)

    assert outcome.made is photo
    assert (outcome.is_original, were_exact) == (True, [False, True])
    assert "black" in outcome.problems


def test_other_errors_are_not_taken_for_a_bad_result():
    def fail():
        raise ImageError("no such tile")

    with pytest.raises(ImageError, match="no such tile"):
        restore_trusted(fail, fail, "cpu")


def fail_precisely():
    with full_precision("cpu"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
        raise KeyError


def test_precision_is_as_before_afterwards_even_after_an_error():
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32

    with torch.autocast("cpu", torch.bfloat16):
        with pytest.raises(KeyError):
            fail_precisely()
        product = torch.ones(2, 2) @ torch.ones(2, 2)

    assert product.dtype == torch.bfloat16
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == before


def test_what_lowers_precision_by_itself_is_told_not_to():
    assert not wants_full_precision()
    with full_precision("cpu"):
        assert wants_full_precision()
    assert not wants_full_precision()
