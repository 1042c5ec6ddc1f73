import numpy as np
import pytest
import scipy.stats
import torch

from dino_ir.ops.random import draw_seed, normal, seeded, uniform

SEED = 0x1A2B3C4D5E6F7081
SIDE = 192
MANY = 3 * SIDE * SIDE

FIELDS = [uniform, normal]


def standardised(make, seeds, shape):
    """A field of mean 0 and variance 1 if `make` keeps its promise."""
    values = make(seeds, shape).double()
    return (values - 0.5) * 12**0.5 if make is uniform else values


def assert_uncorrelated(one, other):
    """The correlation of independent numbers is normal around 0 with a variance of 1 / count."""
    correlation = float((one * other).mean())
    assert abs(correlation) < 5 / one.numel() ** 0.5


@pytest.mark.parametrize("seed", [0, 1, SEED])
def test_uniform_numbers_are_uniform(seed):
    values = uniform([seed], (MANY,))[0]

    counts = torch.histc(values, 256, 0, 1).numpy()
    assert 0 <= values.min() <= values.max() < 1
    assert scipy.stats.kstest(values.numpy(), "uniform").pvalue > 1e-3
    assert scipy.stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("bit", range(24))
def test_each_bit_of_a_uniform_number_is_a_fair_coin(bit):
    steps = (uniform([SEED], (MANY,))[0].double() * 2**24).long()

    ones = float(((steps >> bit) & 1).double().mean())

    assert abs(ones - 0.5) < 5 * 0.5 / MANY**0.5


@pytest.mark.parametrize("seed", [0, SEED])
def test_normal_numbers_are_normal(seed):
    values = normal(range(seed, seed + 8), (MANY,)).double().flatten().numpy()

    count = 8 * MANY
    assert abs(values.mean()) < 5 / count**0.5
    assert abs(values.var() - 1) < 5 * (2 / count) ** 0.5
    assert abs(scipy.stats.skew(values)) < 5 * (6 / count) ** 0.5
    assert abs(scipy.stats.kurtosis(values)) < 5 * (24 / count) ** 0.5
    assert scipy.stats.kstest(values, "norm").pvalue > 1e-3
    assert 4 < np.abs(values).max() < 5.9


@pytest.mark.parametrize("make", FIELDS)
@pytest.mark.parametrize(
    "lag", [(0, 1), (1, 0), (1, 1), (0, 2), (0, 64), (0, 128), (8, 0), (32, 0), (128, 0)]
)
def test_neighbours_have_nothing_in_common(make, lag):
    field = standardised(make, [SEED], (3, SIDE, SIDE))[0]

    down, right = lag

    assert_uncorrelated(field[:, down:, right:], field[:, : SIDE - down, : SIDE - right])


@pytest.mark.parametrize("make", FIELDS)
def test_channels_have_nothing_in_common(make):
    red, green, blue = standardised(make, [SEED], (3, SIDE, SIDE))[0]

    assert_uncorrelated(red, green)
    assert_uncorrelated(green, blue)
    assert_uncorrelated(red, blue)


@pytest.mark.parametrize("make", FIELDS)
def test_a_field_has_no_favourite_frequency(make):
    field = standardised(make, [SEED], (SIDE, SIDE))[0]

    power = torch.fft.rfft2(field, norm="ortho").abs()[1:, 1 : SIDE // 2].square().flatten()

    assert scipy.stats.kstest(power.numpy(), "expon").pvalue > 1e-3


@pytest.mark.parametrize("make", FIELDS)
@pytest.mark.parametrize("bit", range(62))
def test_seeds_that_differ_in_one_bit_share_nothing(make, bit):
    one, other = standardised(make, [SEED, SEED ^ (1 << bit)], (2048,))

    repeated = np.intersect1d(one, other).size

    assert_uncorrelated(one, other)
    # Among 2048 x 2048 pairs of 24 bits, a quarter of one falls together by chance.
    assert repeated < 5


def test_small_seeds_share_nothing():
    fields = uniform(range(32), (512,)).numpy()

    values, counts = np.unique(fields, return_counts=True)

    # Chance gives 8 pairs: (32 x 512)^2 / 2 / 2^24.
    assert fields.size - values.size < 25
    assert counts.max() == 2


@pytest.mark.parametrize("make", FIELDS)
@pytest.mark.parametrize("shape", [(1,), (2,), (7,), (3, 5, 7), (3, 37, 31), (2, 1, 64)])
def test_a_batch_equals_each_field_alone(make, shape):
    seeds = [SEED, 3, 2**62 - 1, 0, 5 << 40]

    together = make(seeds, shape)

    assert together.shape == (5, *shape)
    assert together.dtype == torch.float32
    assert torch.equal(together, torch.cat([make([seed], shape) for seed in seeds]))


@pytest.mark.parametrize("make", FIELDS)
def test_fields_leave_the_global_rng_alone(make):
    before = torch.get_rng_state()

    make([SEED], (3, 5, 7))

    assert torch.equal(torch.get_rng_state(), before)


def test_the_number_at_a_place_depends_on_the_place_alone():
    short, long = uniform([SEED], (100,))[0], uniform([SEED], (1000,))[0]

    assert torch.equal(short, long[:100])


def test_drawn_seeds_fill_62_bits():
    rng = torch.Generator().manual_seed(0)

    seeds = [draw_seed(rng) for _ in range(2000)]

    ones = [sum(seed >> bit & 1 for seed in seeds) / len(seeds) for bit in range(62)]
    assert len(set(seeds)) == len(seeds)
    assert 0 <= min(seeds) <= max(seeds) < 2**62
    assert all(abs(share - 0.5) < 5 * 0.5 / len(seeds) ** 0.5 for share in ones)


def test_the_same_numbers_name_the_same_generator():
    one, other = seeded(4, 12, 3), seeded(4, 12, 3)

    assert torch.equal(torch.rand(5, generator=one), torch.rand(5, generator=other))


def test_other_numbers_name_other_generators():
    names = [(run, step, row) for run in range(3) for step in (0, 1, 2**32, 2**40) for row in range(16)]
    names += [(1, 23), (12, 3), (123,), (3, 12)]

    firsts = {float(torch.rand((), generator=seeded(*numbers), dtype=torch.float64)) for numbers in names}

    assert len(firsts) == len(names)


def test_generators_of_neighbours_have_nothing_in_common():
    fields = torch.stack([torch.randn(4096, generator=seeded(0, step)) for step in range(20)]).double()

    correlations = (fields @ fields.T / 4096).fill_diagonal_(0)

    assert correlations.abs().max() < 5 / 4096**0.5
