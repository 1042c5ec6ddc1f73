from statistics import fmean

import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from dino_ir.losses.pixel import l1, negative_psnr, pixel_loss

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


def test_the_negative_psnr_is_that_of_each_image_in_the_mean():
    restored = torch.stack([CLEAN[0] + 0.1, CLEAN[0] + 0.5])

    expected = -fmean(
        [peak_signal_noise_ratio(CLEAN[0].numpy(), image.numpy(), data_range=1) for image in restored]
    )

    assert negative_psnr(restored, CLEAN).item() == pytest.approx(expected, abs=0.02)


def test_a_decibel_of_a_bad_image_counts_as_one_of_a_good_image():
    scale = torch.tensor([1.0, 1.0], requires_grad=True)
    errors = torch.stack([torch.full_like(CLEAN[0], 0.05), torch.full_like(CLEAN[0], 0.5)])

    loss = negative_psnr(errors * scale[:, None, None, None], CLEAN)
    (good, bad), *_ = torch.autograd.grad(loss, scale)

    assert good.item() == pytest.approx(bad.item(), rel=0.02)


def test_a_perfect_image_counts_as_45_decibels_and_has_a_gradient():
    restored = CLEAN.clone().requires_grad_()

    loss = negative_psnr(restored, CLEAN)
    loss.backward()

    assert loss.item() == pytest.approx(-45.2, abs=0.1)
    assert restored.grad is not None
    assert restored.grad.isfinite().all()


@pytest.mark.parametrize(("name", "knee"), [("l2", None), ("psnr", 0.03)])
def test_a_loss_that_is_not_there_is_refused(name: str, knee: float | None):
    with pytest.raises(ValueError, match=name):
        pixel_loss(name, knee)


def test_a_recipe_names_the_loss():
    restored = CLEAN + 0.2

    assert pixel_loss("l1", 0.01)(restored, CLEAN) == l1(restored, CLEAN, 0.01)
    assert pixel_loss("psnr")(restored, CLEAN) == negative_psnr(restored, CLEAN)
