import pytest
import torch

from dino_ir.degradations.haze import Haze
from dino_ir.metrics.psnr import PSNR
from dino_ir.restorers.dark_channel import DarkChannel

AIR = torch.tensor([0.9, 0.85, 0.8])[:, None, None]


def colourful(height=90, width=60):
    """A scene in which each pixel lacks a colour, so that its dark channel is 0 everywhere."""
    rng = torch.Generator().manual_seed(0)
    scene = 0.8 * torch.rand(3, height, width, generator=rng)
    missing = torch.randint(3, (1, height, width), generator=rng)
    return scene.scatter(0, missing, 0.0)


def test_haze_of_one_depth_is_taken_away_exactly():
    """Under a strip of sky, which shows the airlight, the model holds: the transmission is known."""
    clean, sky = colourful(), 10
    hazy = 0.6 * clean + 0.4 * AIR
    hazy[:, :sky] = AIR

    restored = DarkChannel(omega=1.0, radius=8)(hazy[None])[0]

    beyond_sky = sky + 7 + 2 * 8  # half a patch, then the reach of the guided filter's two means
    torch.testing.assert_close(restored[:, beyond_sky:], clean[:, beyond_sky:], rtol=0, atol=1e-4)
    torch.testing.assert_close(restored[:, 0], AIR.expand(-1, 1, 60)[:, 0], rtol=0, atol=1e-4)


def test_some_haze_is_kept():
    clean = colourful()
    hazy = 0.6 * clean + 0.4 * AIR
    hazy[:, :10] = AIR

    restored = DarkChannel(omega=0.5, radius=8)(hazy[None])[0]

    expected = (0.6 * clean - 0.6 * AIR) / 0.8 + AIR  # t = 1 - 0.5 * 0.4
    torch.testing.assert_close(restored[:, 40:], expected[:, 40:], rtol=0, atol=1e-4)


def test_transmission_follows_the_edges_of_the_photo():
    """Beside an edge in depth the rough transmission is wrong for half a patch; the guide mends it."""
    near, far = torch.tensor([0.1, 0.6, 0.0]), torch.tensor([0.8, 0.1, 0.0])
    clean = torch.stack([near, far], dim=1).repeat_interleave(60, dim=1)[:, None].repeat(1, 90, 1)
    transmission = torch.tensor([0.9, 0.4]).repeat_interleave(60)
    hazy = clean * transmission + AIR * (1 - transmission)
    hazy[:, :2] = AIR

    def error(radius):
        restored = DarkChannel(omega=1.0, radius=radius)(hazy[None])[0]
        return (restored - clean)[:, 60:, 60:67].abs().mean()

    assert error(radius=0) > 0.1
    assert error(radius=40) < 0.5 * error(radius=0)


def test_synthetic_haze_is_thinned():
    clean = colourful()[None]
    haze = Haze(beta=1.5, air=0.9)
    hazy = haze.apply(clean, [haze.draw(torch.Generator().manual_seed(0))])

    restored = DarkChannel()(hazy).clamp(0, 1)

    assert float(PSNR()(restored, clean)) > float(PSNR()(hazy, clean)) + 3


def test_images_of_a_batch_are_restored_each_alone():
    batch = torch.rand(2, 3, 30, 40, generator=torch.Generator().manual_seed(1))
    batch[0] *= 0.5

    together = DarkChannel()(batch)

    alone = torch.cat([DarkChannel()(image[None]) for image in batch])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("image", [torch.zeros(1, 3, 20, 20), torch.ones(1, 3, 1, 1)])
def test_black_and_single_pixels_stay(image):
    torch.testing.assert_close(DarkChannel()(image), image, rtol=0, atol=1e-2)


@pytest.mark.parametrize(
    "options", [{"patch": 4}, {"omega": 1.1}, {"least": 0}, {"radius": -1}, {"smoothness": 0}]
)
def test_options_beyond_their_range_are_refused(options):
    with pytest.raises(ValueError, match="got"):
        DarkChannel(**options)
