import pytest
import torch

from dino_ir.degradations.chain import Chain
from dino_ir.degradations.gaussian_blur import GaussianBlur
from dino_ir.degradations.gaussian_noise import GaussianNoise
from dino_ir.degradations.haze import Haze


def draw(degradation, count=2):
    rng = torch.Generator().manual_seed(0)
    return [degradation.draw(rng) for _ in range(count)]


def test_each_part_damages_the_result_of_the_one_before():
    images, depth = torch.rand(2, 3, 37, 31), torch.rand(2, 1, 37, 31)
    haze, blur = Haze(), GaussianBlur()
    first, second = draw(haze), draw(blur)

    degraded = Chain([haze, blur]).apply(
        images, [{"parts": [one, other]} for one, other in zip(first, second)], depth
    )

    assert torch.equal(degraded, blur.apply(haze.apply(images, first, depth), second))


def test_the_order_matters():
    image = torch.full((1, 3, 64, 64), 0.5)
    noise_first = Chain([GaussianNoise(25), GaussianBlur(2.0)])
    blur_first = Chain([GaussianBlur(2.0), GaussianNoise(25)])

    smooth, rough = (
        chain.apply(image, draw(chain, count=1)).std() * 255 for chain in (noise_first, blur_first)
    )

    # White noise after a Gaussian blur keeps 1 / (2 sigma sqrt(pi)) of its strength.
    assert float(rough) == pytest.approx(25, rel=0.05)
    assert float(smooth) == pytest.approx(25 / (4 * torch.pi**0.5), rel=0.1)


def test_parts_draw_one_after_the_other():
    rng, other = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    parts = [GaussianNoise([0, 50]), Haze(), GaussianBlur()]

    parameters = Chain(parts).draw(rng)

    assert parameters == {"parts": [part.draw(other) for part in parts]}


def test_a_chain_of_chains_is_a_chain():
    images = torch.rand(1, 3, 5, 7)
    parts = [Haze(), GaussianBlur(), GaussianNoise()]
    nested, flat = Chain([parts[0], Chain(parts[1:])]), Chain(parts)

    degraded = nested.apply(images, draw(nested, count=1))

    assert torch.equal(degraded, flat.apply(images, draw(flat, count=1)))


def test_an_empty_chain_is_refused():
    with pytest.raises(ValueError, match="chain needs at least one degradation"):
        Chain([])
