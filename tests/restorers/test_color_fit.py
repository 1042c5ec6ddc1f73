import pytest
import torch

from dino_ir.contracts import Truth
from dino_ir.errors import DinoIRError
from dino_ir.restorers.color_fit import ColorFit

TRANSFORM = torch.tensor([[0.5, 0.1, 0.0], [0.2, 0.4, 0.1], [-0.1, 0.0, 0.6]])
OFFSET = torch.tensor([0.1, 0.05, 0.3])


def photo(seed):
    return torch.rand(3, 17, 19, generator=torch.Generator().manual_seed(seed))


def test_an_affine_change_of_colours_is_undone():
    clean = photo(0)
    degraded = torch.einsum("ij,jhw->ihw", TRANSFORM, clean) + OFFSET[:, None, None]

    restored = ColorFit().told(Truth(clean))(degraded[None])

    torch.testing.assert_close(restored[0], clean, rtol=0, atol=1e-5)


def test_no_affine_transform_near_the_fit_is_better():
    clean, degraded = photo(0), photo(1)
    restored = ColorFit().told(Truth(clean))(degraded[None])[0]

    error = (restored - clean).flatten(1)

    # At the best fit, what is left has nothing to do with any colour, nor with a constant.
    assert error.mean(dim=1).abs().max() < 1e-6
    assert (error @ degraded.flatten(1).T).abs().max() < 1e-3


def test_a_photo_of_one_colour_gets_the_mean_of_the_clean_one():
    clean = photo(0)

    restored = ColorFit().told(Truth(clean))(torch.full((1, 3, 17, 19), 0.5))

    expected = clean.mean(dim=(1, 2), keepdim=True).expand_as(clean)
    torch.testing.assert_close(restored[0], expected, rtol=0, atol=1e-5)


def test_it_must_be_told():
    restorer = ColorFit()

    assert restorer.told(Truth(photo(0))) is not restorer
    with pytest.raises(DinoIRError, match="must be told the clean photo"):
        restorer(photo(1)[None])
