"""What every metric promises, over the catalog."""

import pytest
import torch

from dino_ir import catalog
from dino_ir.errors import DinoIRError

OF_NETWORKS = {"dists", "lpips"}  # to which a picture that lies on its side is another one


@pytest.fixture(params=catalog.names("metrics"))
def metric(request):
    metric = catalog.build("metrics", {"name": request.param})
    try:
        metric(pictures(1), pictures(1))
    except DinoIRError as problem:  # a network that was not fetched
        pytest.skip(str(problem))
    return metric


def pictures(count=2, seed=0):
    return torch.rand(count, 3, 176, 192, generator=torch.Generator().manual_seed(seed))


def test_each_image_is_scored_alone(metric):
    clean, restored = pictures(3), pictures(3, seed=1)

    together = metric(restored, clean)

    alone = torch.cat([metric(restored[i : i + 1], clean[i : i + 1]) for i in range(3)])
    assert together.shape == (3,)
    torch.testing.assert_close(together, alone)


def test_a_worse_image_scores_worse(metric):
    clean = pictures()
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(2))

    slightly, badly = metric(clean + 0.02 * noise, clean), metric(clean + 0.2 * noise, clean)

    assert ((slightly > badly) == metric.higher_is_better).all()


def test_the_order_of_the_two_images_does_not_matter(metric):
    clean, restored = pictures(), pictures(seed=1)

    forth, back = metric(restored, clean), metric(clean, restored)

    torch.testing.assert_close(forth, back)


def test_turning_both_images_keeps_the_score(metric, request):
    if request.node.callspec.params["metric"] in OF_NETWORKS:
        pytest.skip("networks tell up from down")
    clean, restored = pictures(), pictures(seed=1)

    turned = metric(restored.rot90(1, (2, 3)), clean.rot90(1, (2, 3)))

    torch.testing.assert_close(turned, metric(restored, clean))


def test_inputs_stay_as_they_are(metric):
    clean, restored = pictures(), pictures(seed=1)

    metric(restored, clean)

    assert torch.equal(clean, pictures())
    assert torch.equal(restored, pictures(seed=1))
