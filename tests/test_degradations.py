"""What every degradation promises, over the catalog."""

import pickle

import pytest
import torch

from dino_ir import catalog

PARTS = [
    {"name": "gaussian_noise", "sigma": [0, 50]},
    {"name": "rain"},
    {"name": "haze"},
    {"name": "gaussian_blur"},
]
OPTIONS = {"chain": {"degradations": PARTS}, "choice": {"degradations": PARTS, "weights": [1, 2, 1, 1]}}
UNROUNDED = ("gaussian_blur", "gaussian_noise", "haze", "rain", "sensor_noise")

TABLES = [{"name": name, **OPTIONS.get(name, {})} for name in catalog.names("degradations")]
TABLES += [{"name": name, "rounded": False} for name in UNROUNDED]


@pytest.fixture(params=TABLES, ids=lambda table: table["name"] + ("_unrounded" if "rounded" in table else ""))
def degradation(request):
    return catalog.build("degradations", request.param)


@pytest.fixture(params=[(37, 31), (5, 7), (1, 1)], ids=lambda size: f"{size[0]}x{size[1]}")
def images(request):
    return torch.rand(4, 3, *request.param, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=[False, True], ids=["depth_unknown", "depth_known"])
def depth(request, images):
    rng = torch.Generator().manual_seed(1)
    return 2 * torch.rand(4, 1, *images.shape[2:], generator=rng) if request.param else None


def draw(degradation, count=4, seed=2):
    rng = torch.Generator().manual_seed(seed)
    return [degradation.draw(rng) for _ in range(count)]


def is_plain(value):
    """Whether a value is made of Python's own numbers, texts, lists and dictionaries alone."""
    if type(value) is dict:
        return all(type(key) is str for key in value) and all(map(is_plain, value.values()))
    if type(value) is list:
        return all(map(is_plain, value))
    return value is None or type(value) in (bool, int, float, str)


def test_the_same_rng_gives_the_same_damage(degradation, images, depth):
    first, second = draw(degradation), draw(degradation)

    assert first == second
    assert torch.equal(
        degradation.apply(images, first, depth), degradation.apply(images.clone(), second, depth)
    )


def test_a_batch_equals_each_image_alone(degradation, images, depth):
    parameters = draw(degradation)

    together = degradation.apply(images, parameters, depth)

    for i in range(4):
        alone = degradation.apply(
            images[i : i + 1], parameters[i : i + 1], None if depth is None else depth[i : i + 1]
        )
        assert torch.equal(together[i], alone[0])


def test_strides_do_not_matter(degradation, images):
    parameters = draw(degradation)

    apart = images.contiguous(memory_format=torch.channels_last)

    assert torch.equal(degradation.apply(apart, parameters), degradation.apply(images, parameters))


def test_the_result_is_a_new_image_of_the_same_size(degradation, images, depth):
    degraded = degradation.apply(images, draw(degradation), depth)

    assert (degraded.shape, degraded.dtype) == (images.shape, images.dtype)
    assert 0 <= degraded.min() <= degraded.max() <= 1
    assert degraded.data_ptr() != images.data_ptr()


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_black_and_white_stay_in_range(degradation, images, value):
    flat = torch.full_like(images, value)

    degraded = degradation.apply(flat, draw(degradation))

    assert 0 <= degraded.min() <= degraded.max() <= 1


def test_inputs_stay_as_they_are(degradation, images, depth):
    parameters = draw(degradation)
    copies = images.clone(), pickle.dumps(parameters), None if depth is None else depth.clone()

    degradation.apply(images, parameters, depth).zero_()

    assert torch.equal(images, copies[0])
    assert pickle.dumps(parameters) == copies[1]
    assert depth is None or torch.equal(depth, copies[2])


def test_the_global_rng_stays_as_it_is(degradation, images):
    before = torch.get_rng_state()

    degradation.apply(images, draw(degradation))

    assert torch.equal(torch.get_rng_state(), before)


def test_parameters_are_plain_and_survive_pickling(degradation):
    parameters = draw(degradation, count=20)

    assert is_plain(parameters)
    assert pickle.loads(pickle.dumps(parameters)) == parameters


def test_parts_are_equal_when_their_options_are(degradation):
    twin = pickle.loads(pickle.dumps(degradation))

    assert twin == degradation
    assert draw(twin) == draw(degradation)
