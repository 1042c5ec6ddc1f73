import pytest
import torch

from dino_ir.losses.pixel import l1

CLEAN = torch.zeros(2, 3, 4, 4)


def test_a_constant_error_is_its_own_mean():
    assert l1(CLEAN + 0.2, CLEAN).item() == pytest.approx(0.2)


def test_a_knee_leaves_small_errors_and_takes_the_logarithm_of_large_ones():
    knee = 0.01

    assert l1(CLEAN + 1e-4, CLEAN, knee).item() == pytest.approx(1e-4, rel=0.01)
    assert l1(CLEAN + 0.5, CLEAN, knee).item() == pytest.approx(knee * torch.tensor(51.0).log().item())


def test_with_a_knee_a_bad_image_pulls_no_harder_than_a_good_one():
    restored = torch.stack([CLEAN[0] + 0.02, CLEAN[0] + 0.5]).requires_grad_()

    plain, bent = (torch.autograd.grad(l1(restored, CLEAN, knee), restored)[0] for knee in (None, 0.01))

    torch.testing.assert_close(plain[0], plain[1])
    assert bent[0].sum() > 10 * bent[1].sum()
