import pytest
import torch
from torch import nn

from dino_ir.layers.stage import Stage
from dino_ir.networks.nafnet import NAFNet
from dino_ir.networks.restormer import Restormer


def blocks():
    torch.manual_seed(0)
    return [nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.GELU(), nn.Conv2d(4, 4, 1)) for _ in range(3)]


def kept_bytes(stage, x):
    """What a forward pass keeps for the backward one, each storage once; weights do not count."""
    own = {parameter.untyped_storage().data_ptr() for parameter in stage.parameters()}
    kept = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = tensor  # held, so that no address is used twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        stage(x)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def test_runs_its_blocks_in_order():
    x = torch.rand(2, 4, 6, 5)

    torch.testing.assert_close(Stage(blocks())(x), nn.Sequential(*blocks())(x), rtol=0, atol=0)


def test_recomputing_gives_the_very_same_gradients():
    x = torch.rand(2, 4, 6, 5)
    gradients = []

    for recompute in (False, True):
        stage = Stage(blocks(), recompute)
        stage(x).square().mean().backward()
        gradients.append([parameter.grad for parameter in stage.parameters()])

    for plain, again in zip(*gradients):
        torch.testing.assert_close(plain, again, rtol=0, atol=0)


def test_recomputing_keeps_only_what_enters_each_block():
    x = torch.rand(2, 4, 6, 5)
    size = x.untyped_storage().nbytes()

    assert kept_bytes(Stage(blocks(), recompute=True), x) == 3 * size
    assert kept_bytes(Stage(blocks()), x) > 6 * size


def test_names_are_those_of_a_sequence():
    assert Stage(blocks(), recompute=True).state_dict().keys() == nn.Sequential(*blocks()).state_dict().keys()


@pytest.mark.parametrize("kind", [NAFNet, Restormer])
def test_networks_recompute_where_they_are_told_to(kind):
    torch.manual_seed(0)
    plain = kind(**kind.tiny)
    frugal = kind(**kind.tiny, recompute=True)
    frugal.load_state_dict(plain.state_dict())
    image = torch.rand(1, 3, 32, 32)

    for network in (plain, frugal):
        network(image).square().mean().backward()

    for one, other in zip(plain.parameters(), frugal.parameters()):
        torch.testing.assert_close(one.grad, other.grad, rtol=0, atol=0)
    assert kept_bytes(frugal, image) < 0.7 * kept_bytes(plain, image)
