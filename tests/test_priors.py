import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dino_ir import catalog
from dino_ir.priors.dino_tiny import DINOTiny


@pytest.fixture(params=catalog.names("priors"))
def prior(request):
    torch.manual_seed(0)
    part = catalog.find("priors", request.param)
    return part(**part.tiny)


def test_declared_channels_and_stride_are_true(prior):
    height, width = 3, 5

    maps = prior(torch.rand(2, 3, height * prior.stride, width * prior.stride))

    assert [map_.shape for map_ in maps] == [(2, channels, height, width) for channels in prior.channels]


def test_never_learns_and_never_trains(prior):
    prior.train()

    assert not any(module.training for module in prior.modules())
    assert not any(parameter.requires_grad for parameter in prior.parameters())


def test_is_born_frozen(prior):
    assert not any(module.training for module in prior.modules())
    assert not any(parameter.requires_grad for parameter in prior.parameters())


def test_gradients_reach_the_image(prior):
    image = torch.rand(1, 3, 4 * prior.stride, 4 * prior.stride, requires_grad=True)

    sum(map_.square().sum() for map_ in prior(image)).backward()

    assert (image.grad.abs().amax(dim=(0, 1)) > 0).float().mean() > 0.99


def test_forward_gives_the_blocks_it_names(prior):
    image = torch.rand(1, 3, 2 * prior.stride, 2 * prior.stride)

    torch.testing.assert_close(prior(image), prior.blocks(image, prior.layers), rtol=0, atol=0)


def test_a_block_alone_is_the_same(prior):
    image = torch.rand(1, 3, 2 * prior.stride, 2 * prior.stride)

    for layer, map_ in zip(prior.layers, prior(image)):
        torch.testing.assert_close(prior.blocks(image, (layer,)), (map_,), rtol=0, atol=0)


def test_a_file_with_our_own_names_stays_as_it_is(prior):
    own = prior.state_dict()

    renamed = prior.rename_published(own)

    assert renamed.keys() == own.keys()
    assert all(renamed[name] is value for name, value in own.items())


def test_maps_lie_where_the_picture_changed(prior):
    """A patch's first map moves most where the image did: rows and columns are not mixed up."""
    image = torch.full((1, 3, 4 * prior.stride, 6 * prior.stride), 0.5)
    other = image.clone()
    other[..., prior.stride : 2 * prior.stride, 4 * prior.stride : 5 * prior.stride] = torch.rand(3, 1, 1)

    change = (prior(other)[0] - prior(image)[0]).norm(dim=1)

    assert change.flatten().argmax() == 1 * 6 + 4


def test_one_photo_costs_less_than_a_billion_multiplications():
    with torch.device("meta"):
        prior = DINOTiny()

    with FlopCounterMode(display=False) as counter:
        prior(torch.empty(1, 3, 224, 224, device="meta"))

    assert counter.get_total_flops() / 2 < 1e9


def test_shallow_blocks_cost_less():
    with torch.device("meta"):
        prior = DINOTiny()

    with FlopCounterMode(display=False) as counter:
        prior.blocks(torch.empty(1, 3, 224, 224, device="meta"), (1,))

    assert counter.get_total_flops() / 2 < 0.3e9


def test_layers_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="from 0 to 7"):
        DINOTiny(layers=(8,))
