import pytest
import scipy.stats
import torch

from dino_ir.degradations.choice import Choice
from dino_ir.degradations.clear import Clear
from dino_ir.degradations.gaussian_blur import GaussianBlur
from dino_ir.degradations.gaussian_noise import GaussianNoise
from dino_ir.degradations.haze import Haze

PARTS = [Clear(), GaussianBlur(), GaussianNoise(), Haze()]


def draw(degradation, count):
    rng = torch.Generator().manual_seed(0)
    return [degradation.draw(rng) for _ in range(count)]


@pytest.mark.parametrize("weights", [None, [1, 1, 1, 1], [0.5, 0.2, 0.2, 0.1], [4, 3, 2, 1]])
def test_parts_are_chosen_as_often_as_their_weights_say(weights):
    choices = [each["choice"] for each in draw(Choice(PARTS, weights), 1000)]

    shares = torch.tensor(weights or [1.0] * 4).double()
    expected = 1000 * shares / shares.sum()
    assert scipy.stats.chisquare([choices.count(i) for i in range(4)], expected.numpy()).pvalue > 1e-3


def test_a_part_of_weight_0_is_never_chosen():
    choices = {each["choice"] for each in draw(Choice(PARTS, [1, 0, 3, 0]), 300)}

    assert choices == {0, 2}


def test_each_image_gets_what_was_chosen_for_it():
    images, depth = torch.rand(12, 3, 5, 7), torch.rand(12, 1, 5, 7)
    parameters = draw(Choice(PARTS), 12)

    degraded = Choice(PARTS).apply(images, parameters, depth)

    assert {each["choice"] for each in parameters} == {0, 1, 2, 3}
    for i, each in enumerate(parameters):
        part = PARTS[each["choice"]]
        alone = part.apply(images[i : i + 1], [each["part"]], depth[i : i + 1])
        assert torch.equal(degraded[i], alone[0])


def test_only_the_chosen_part_is_drawn():
    choice = Choice([Clear(), GaussianNoise([0, 50])])

    for each in draw(choice, 20):
        assert set(each["part"]) == ({"sigma", "seed"} if each["choice"] else set())


def test_a_choice_of_nothing_is_refused():
    with pytest.raises(ValueError, match="choice needs at least one degradation"):
        Choice([])


@pytest.mark.parametrize("weights", [[], [1, 1, 1], [1, 1, 1, -1], [0, 0, 0, 0], [1, 1, 1, float("inf")]])
def test_weights_that_say_nothing_are_refused(weights):
    with pytest.raises(ValueError, match="choice needs one weight from 0 for each of its degradations, got"):
        Choice(PARTS, weights)
