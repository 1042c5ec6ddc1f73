import pytest
import torch

from dino_ir.ops.similarity import compare_locally, gaussian_window, uniform_window


@pytest.mark.parametrize("window", [gaussian_window(), uniform_window()])
def test_windows_are_symmetric_and_add_up_to_one(window):
    assert sum(window) == pytest.approx(1)
    assert window == window[::-1]


def test_only_places_where_the_window_fits_count():
    means, structures = compare_locally(torch.rand(2, 3, 20, 30), torch.rand(2, 3, 20, 30), uniform_window(7))

    assert means.shape == structures.shape == (2, 3, 14, 24)


def test_a_brighter_image_differs_in_means_alone():
    image = torch.rand(1, 1, 20, 20, dtype=torch.double) / 2

    means, structures = compare_locally(image + 0.25, image, uniform_window())

    assert (means < 0.999).all()
    torch.testing.assert_close(structures, torch.ones_like(structures))


def test_the_correction_for_the_sample_size_is_the_textbooks():
    x, y = torch.rand(2, 1, 1, 3, 3, dtype=torch.double, generator=torch.Generator().manual_seed(0))

    _, structures = compare_locally(x, y, uniform_window(3), is_unbiased=True)

    covariance = torch.cov(torch.stack([x.flatten(), y.flatten()]))
    expected = (2 * covariance[0, 1] + 0.0009) / (covariance.trace() + 0.0009)
    assert structures.item() == pytest.approx(expected.item())
