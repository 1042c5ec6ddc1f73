import pytest
import torch

from dino_ir.analysis.guidance import GUIDES, Steered, examine, guidance_as_markdown
from dino_ir.benchmark import Benchmark
from dino_ir.catalog import build
from dino_ir.contracts import Pair

TABLE = {
    "name": "dino_ir",
    "network": {"name": "nafnet", "width": 4, "encoder": [1, 1], "middle": 1, "decoder": [1, 1]},
    "prior": {"name": "patch_color"},
    "feature_fusion": {"name": "pixel_semantic", "channels": 6},
    "level_fusion": {"name": "adapt_and_add"},
    "side": 32,
}


@pytest.fixture
def restorer():
    """A guided restorer in which every parameter has a say."""
    torch.manual_seed(0)
    restorer = build("restorers", TABLE)
    for parameter in restorer.parameters():
        if parameter.requires_grad and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.3)
    return restorer.eval()


@pytest.fixture
def benchmark():
    rng = torch.Generator().manual_seed(0)
    pictures = [torch.randint(256, (2, 3, 30, 41), generator=rng) / 255 for _ in range(3)]
    return Benchmark("Toy", "denoise", [Pair(f"{i}", clean, bad) for i, (clean, bad) in enumerate(pictures)])


def test_its_own_guide_is_what_restores_it_outside(restorer, benchmark):
    from dino_ir.evaluation import METRICS, evaluate

    examined = list(examine(restorer, benchmark))

    scores = [row.scores["psnr"] for row in evaluate(restorer, benchmark, METRICS, tile="off")]
    assert [each.scores["own"] for each in examined] == pytest.approx(scores, abs=1e-4)
    assert [each.image for each in examined] == ["0", "1", "2"]
    assert len(set(examined[0].scores.values())) == len(GUIDES)


def test_a_network_that_is_not_steered_does_not_care(benchmark):
    unsteered = build("restorers", TABLE).eval()  # what it adds starts at zero

    (first,) = examine(unsteered, benchmark, limit=1)

    assert len(set(first.scores.values())) == 1
    assert first.changes == [0.0, 0.0, 0.0]


def test_changes_are_relative_to_the_features(restorer, benchmark, monkeypatch):
    monkeypatch.setattr(restorer.level_fusion, "forward", lambda _place, features, _view: 1.5 * features)

    (first,) = examine(restorer, benchmark, limit=1)

    assert first.changes == pytest.approx([0.5] * 3)


def test_the_table_has_the_means():
    scores = dict(zip(GUIDES, (30.0, 31.0, 29.0, 28.0)))
    rows = [
        Steered("a", scores, [0.1]),
        Steered("b", {key: value + 1 for key, value in scores.items()}, [0.3]),
    ]

    table = guidance_as_markdown({"Toy": rows}).splitlines()

    assert table[0] == "| benchmark | own guide | clean guide | other guide | none guide | change at 0 |"
    assert table[2] == "| Toy | 30.50 | 31.50 | 29.50 | 28.50 | 0.20 |"
