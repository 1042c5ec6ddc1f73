import copy
import pickle

import pytest
import torch

from dino_ir import tiling
from dino_ir.catalog import build
from dino_ir.inference import restore
from dino_ir.networks.experts import Experts
from dino_ir.networks.restormer import Restormer
from dino_ir.pools import Pools, split_photos

NAFNET = {"name": "nafnet", "width": 4, "encoder": [1, 1, 1], "middle": 1, "decoder": [1, 1, 1]}


def noisy(part):
    """Some weights of a part that is born with zeros; the same each time."""
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in part.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=rng))
    return part


@pytest.fixture
def experts():
    torch.manual_seed(0)
    network = Experts(NAFNET, count=3)
    return noisy(network)


def with_shares(network, *shares):
    network.gate.forward = lambda _features: torch.tensor(shares)
    return network


def mixture(experts, *shares):
    """A network of its own, of a mixture of experts."""
    states = [expert.state_dict() for expert in experts]
    network = build("networks", NAFNET)
    network.load_state_dict(
        {name: sum(share * state[name] for share, state in zip(shares, states)) for name in states[0]}
    )
    return network


def test_all_begin_as_one_and_with_even_shares():
    network = Experts(NAFNET, count=3)
    for expert in network.experts:
        noisy(expert)
    image = torch.rand(1, 3, 16, 24)

    # The mean of equal weights is rounded.
    torch.testing.assert_close(network(image), network.experts[0](image), rtol=1e-4, atol=1e-5)
    assert list(network.readings().values()) == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("shares", [(0, 1, 0), (0.5, 0.2, 0.3)])
def test_weights_are_mixed_by_the_shares(experts, shares):
    image = torch.rand(2, 3, 16, 24)

    mixed = with_shares(experts, *map(float, shares))(image)

    torch.testing.assert_close(mixed, mixture(experts.experts, *shares)(image), rtol=1e-4, atol=1e-5)


def test_the_shares_are_those_the_pieces_of_a_photo_are_restored_by(experts):
    pieces = torch.rand(2, 3, 16, 24)

    shares = experts.shares(pieces)
    experts(pieces)

    assert shares.sum().item() == pytest.approx(1)
    assert list(experts.readings().values()) == pytest.approx(shares.tolist(), rel=1e-4)


def test_the_gate_learns_which_expert_to_ask():
    """One expert darkens, one brightens; which is right shows in the texture of the photo."""
    torch.manual_seed(0)
    network = Experts(NAFNET, count=2)
    for expert, change in zip(network.experts, (-0.1, 0.1)):
        torch.nn.init.constant_(expert.to_image.bias, change)
        torch.nn.init.zeros_(expert.to_image.weight)
    optimizer = torch.optim.Adam(network.gate.parameters(), lr=3e-3)
    smooth, rough = torch.full((1, 3, 16, 16), 0.5), 0.5 + 0.2 * torch.randn(1, 3, 16, 16)

    for _ in range(60):
        loss = (network(smooth) - smooth + 0.1).square().mean() + (
            network(rough) - rough - 0.1
        ).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    assert network.shares(smooth)[0] > 0.9
    assert network.shares(rough)[1] > 0.9


def test_photos_of_a_batch_have_weights_of_their_own_in_all_their_tiles(monkeypatch):
    monkeypatch.setattr(tiling, "_PIECE", 8)  # so that tiles share what they pool
    torch.manual_seed(0)
    restorer = noisy(build("restorers", {"name": "plain", "network": {"name": "experts", "expert": NAFNET}}))
    batch = torch.rand(2, 3, 400, 400) * torch.tensor([1.0, 0.2]).view(-1, 1, 1, 1)

    tiled = restore(restorer.eval(), batch, tile=320)

    assert restorer.network._kept
    alone = torch.cat([restore(restorer, photo[None], tile=320) for photo in batch])
    torch.testing.assert_close(tiled, alone, rtol=0, atol=1e-5)


def test_pieces_with_maps_of_their_own_share_the_weights_of_their_photo(monkeypatch):
    """With the view "grid", every tile is described by itself."""
    monkeypatch.setattr(tiling, "_PIECE", 8)
    torch.manual_seed(0)
    table = {
        "name": "dino_ir",
        "network": {"name": "experts", "expert": NAFNET},
        "prior": {"name": "patch_color"},
    }
    restorer = noisy(build("restorers", {**table, "view": "grid"})).eval()
    batch = torch.rand(2, 3, 400, 400) * torch.tensor([1.0, 0.2]).view(-1, 1, 1, 1)

    tiled = restore(restorer, batch, tile=320)

    assert restorer.network._kept
    alone = torch.cat([restore(restorer, photo[None], tile=320) for photo in batch])
    torch.testing.assert_close(tiled, alone, rtol=0, atol=1e-5)


def test_pieces_see_the_gate_of_all(experts):
    pieces, pools = torch.rand(4, 3, 16, 24), Pools(experts)

    with pools.measuring(2):
        measured = torch.cat([experts(rows) for rows, _ in split_photos(pieces)])
    with pools.sharing():
        shared = torch.cat([experts(piece) for piece in (pieces[:1], pieces[2:3])])

    # One piece is convolved by itself, and then beside another.
    torch.testing.assert_close(shared, measured[::2], rtol=1e-4, atol=1e-5)


def test_one_expert_is_none():
    with pytest.raises(ValueError, match="count must be at least 2, got 1"):
        Experts(NAFNET, count=1)


def test_experts_of_another_network_are_none():
    with pytest.raises(ValueError, match="can begin alone, such as nafnet, not restormer"):
        Experts({"name": "restormer", **Restormer.tiny})


@pytest.mark.parametrize(
    ("expert", "message"),
    [
        (3, "expert is a table with the name of a network"),
        ({**NAFNET, "encoder": [], "decoder": []}, "can begin alone"),
        ({**NAFNET, "recompute": True}, "experts cannot recompute"),
    ],
)
def test_other_experts_are_refused(expert, message):
    with pytest.raises(ValueError, match=message):
        Experts(expert)


def test_tiles_that_share_what_the_gate_sees_mix_once(experts, monkeypatch):
    pieces, pools, mixed = torch.rand(4, 3, 16, 24), Pools(experts), []
    with torch.inference_mode(), pools.measuring(4):
        measured = experts(pieces)
    monkeypatch.setattr(
        experts, "_mixed", lambda *given: mixed.append(given) or Experts._mixed(experts, *given)
    )

    with torch.inference_mode():
        for piece, expected in zip(pieces.split(1), measured):
            with pools.sharing():
                torch.testing.assert_close(experts(piece)[0], expected, rtol=1e-4, atol=1e-5)

    assert len(mixed) == 1
    experts(pieces)  # on their own again: one mixture to look through, one to restore with
    assert len(mixed) == 3


def test_what_is_kept_for_tiles_is_not_copied_or_pickled(experts):
    pieces, pools = torch.rand(2, 3, 16, 24), Pools(experts)
    empty = len(pickle.dumps(experts))
    with torch.no_grad(), pools.measuring(2):
        experts(pieces)
    with pools.sharing():
        experts(pieces)

    assert len(pickle.dumps(experts)) == empty
    torch.testing.assert_close(copy.deepcopy(experts)(pieces), experts(pieces), rtol=0, atol=0)


def test_several_photos_are_restored_and_learnt_from_as_one_by_one(experts):
    photos = [torch.rand(2, 3, 16, 24) * scale for scale in (1.0, 0.3, 0.6)]

    def learn(restored):
        experts.zero_grad()
        torch.cat(restored).square().mean().backward()
        return torch.cat(restored), {name: p.grad.clone() for name, p in experts.named_parameters()}

    guides = [lambda place, features, scale=scale: features * scale for scale in (0.5, 1.0, 2.0)]

    together = learn(experts.each(zip(photos, guides)))
    shares = experts.readings()
    alone = learn([experts(pieces, guide) for pieces, guide in zip(photos, guides)])

    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    assert shares == pytest.approx(experts.readings(), rel=1e-4)
    assert len({round(experts.shares(pieces)[0].item(), 4) for pieces in photos}) > 1


def test_many_photos_are_restored_with_the_weights_of_one_at_a_time(experts, monkeypatch):
    """Those of all at once would take their number times the memory."""
    mixed = []
    monkeypatch.setattr(
        experts, "_mixed", lambda *given: mixed.append(len(given[0])) or Experts._mixed(experts, *given)
    )
    restorer = build("restorers", {"name": "plain", "network": {"name": "experts", "expert": NAFNET}})
    restorer.network = experts

    restore(restorer.eval(), torch.rand(5, 3, 8, 8))

    assert set(mixed) == {1}
    experts.train()
    restorer(torch.rand(5, 3, 8, 8))
    assert max(mixed) == 5


def test_what_is_kept_of_a_photo_is_dropped_when_others_come(experts):
    pieces, pools = torch.rand(2, 3, 16, 24), Pools(experts)
    with torch.no_grad(), pools.measuring(2):
        experts(pieces)
    with torch.no_grad(), pools.sharing():
        experts(pieces)
    assert experts._kept

    experts.each((pieces[:1], guide) for guide in [lambda place, features: features] * 2)

    assert not experts._kept
