import pytest
import torch

from dino_ir.ops.ranges import between, span


def test_a_number_is_a_range_from_itself_to_itself():
    assert span(2.5) == (2.5, 2.5)
    assert span([1, 3]) == (1, 3)


@pytest.mark.parametrize("ends", [[], [1], [15, 25, 50]])
def test_what_has_not_two_ends_is_refused(ends):
    with pytest.raises(ValueError, match=r"a range is a pair \[low, high\], got \["):
        span(ends)


def test_numbers_fill_the_range_evenly():
    rng = torch.Generator().manual_seed(0)

    numbers = torch.tensor([between((-2, 6), rng) for _ in range(1000)])

    counts = torch.histc(numbers, 4, -2, 6)
    assert -2 <= numbers.min() <= numbers.max() < 6
    assert (counts - 250).abs().max() < 5 * (1000 * 0.25 * 0.75) ** 0.5


def test_one_number_is_drawn_even_from_a_point():
    rng, other = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)

    number = between((3.0, 3.0), rng)
    between((0.0, 1.0), other)

    assert number == 3.0
    assert torch.equal(rng.get_state(), other.get_state())
