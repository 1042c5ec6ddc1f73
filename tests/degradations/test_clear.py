import torch

from dino_ir.degradations.clear import Clear


def test_clear_images_keep_their_bits():
    images = torch.rand(2, 3, 5, 7)

    degraded = Clear().apply(images, [{}, {}])

    assert torch.equal(degraded, images)
    assert degraded.data_ptr() != images.data_ptr()


def test_nothing_is_drawn():
    rng = torch.Generator().manual_seed(0)
    before = rng.get_state()

    assert Clear().draw(rng) == {}
    assert torch.equal(rng.get_state(), before)
