import itertools

import pytest
import torch

from dino_ir.contracts import Pair
from dino_ir.errors import DataError
from dino_ir.feed import Source, Stream, assemble, steps_from
from dino_ir.recipe import Phase, Recipe


class Ramp:
    """One pair; the degraded image is the clean one plus a constant, so crops can be checked to agree."""

    clean = torch.arange(3 * 20 * 30.0).reshape(3, 20, 30) / 2000

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return Pair("ramp", self.clean, self.clean + 0.1, depth=self.clean[:1])


class Brighten:
    """Adds a drawn constant; shows whether it was given the depth that belongs to the picture."""

    def draw(self, rng):
        return {"by": float(torch.rand((), generator=rng))}

    def apply(self, images, parameters, depth=None):
        if depth is not None:
            torch.testing.assert_close(images[:, :1], depth)
        return images + torch.tensor([each["by"] for each in parameters])[:, None, None, None]


DATA = [{"dataset": {"name": "clean_folder", "root": "photos"}}]
SOURCES = [Source(Ramp()), Source(Ramp(), Brighten(), weight=2)]


def make_stream(seed=3, **phase):
    phases = [Phase(steps=4, **{"batch": 5, "crop": 8, **phase})]
    return Stream(SOURCES, Recipe(phase=phases, data=DATA, restorer={}, seed=seed))


def assert_same(first, second):
    for one, other in zip(first, second):
        if isinstance(one, torch.Tensor):
            torch.testing.assert_close(one, other, rtol=0, atol=0)
        else:
            assert one == other


def test_sample_depends_on_its_index_and_the_seed_alone():
    stream = make_stream()
    later, sooner = stream[3, 1], stream[0, 2]

    assert_same(stream[0, 2], sooner)
    assert_same(stream[3, 1], later)
    seeds = [make_stream(seed)[0, 2].clean for seed in range(8)]
    assert len({seed.sum().item() for seed in seeds}) > 4


def test_clean_degraded_and_depth_are_cut_alike():
    for row in range(20):
        sample = make_stream(region=12, crops=2)[0, row]
        batch = assemble([sample], SOURCES, thumbnail=None)

        assert batch.clean.shape == (2, 3, 8, 8)
        difference = (batch.degraded - batch.clean).flatten(1)
        torch.testing.assert_close(difference, difference[:, :1].expand_as(difference))


def test_boxes_say_where_the_crops_lie_in_the_thumbnail():
    """On a picture that is linear in x and y, a fraction of the photo is a fraction of its values."""
    batch = assemble([make_stream(region=16, crops=3)[0, 1]], SOURCES, thumbnail=16)

    assert batch.photo.shape == (1, 3, 16, 16)
    for crop, (top, left, bottom, right) in zip(batch.degraded, (batch.box * 16).round().int().tolist()):
        torch.testing.assert_close(crop, batch.photo[0, :, top:bottom, left:right])


def test_zoom_scales_a_larger_cut_to_the_crop():
    sample = make_stream(region=20, zoom=[16, 16])[0, 0]

    assert sample.boxes[0][2] == 16
    assert assemble([sample], SOURCES, thumbnail=None).clean.shape == (1, 3, 8, 8)


def test_damage_is_the_same_alone_and_in_groups():
    """On devices other than "cpu", photos of one source and size go together; "cpu:0" stands in for one."""
    samples = [make_stream(region=[10, 11])[0, row] for row in range(8)]

    together = assemble(samples, SOURCES, thumbnail=None, device="cpu:0")
    alone = [assemble([sample], SOURCES, thumbnail=None) for sample in samples]

    torch.testing.assert_close(together.degraded, torch.cat([one.degraded for one in alone]), rtol=0, atol=0)


def test_remaining_steps_begin_where_a_run_stopped():
    recipe = Recipe(
        phase=[Phase(steps=2, batch=2, crop=8), Phase(steps=1, batch=3, crop=8)], data=DATA, restorer={}
    )

    steps = list(steps_from(recipe, 0))

    assert steps == [[(0, 0), (0, 1)], [(1, 0), (1, 1)], [(2, 0), (2, 1), (2, 2)]]
    assert list(steps_from(recipe, 2)) == steps[2:]


def test_sources_come_as_often_as_their_weights_say():
    stream = make_stream()
    drawn = [stream[step, row].source for step, row in itertools.product(range(4), range(150))]

    assert sum(drawn) / len(drawn) == pytest.approx(2 / 3, abs=0.06)


def test_small_photo_is_refused_by_name():
    with pytest.raises(DataError, match="ramp is 30x20, too small to cut 24x24"):
        make_stream(crop=24)[0, 0]


def test_photos_that_are_clean_and_stay_so_are_refused():
    bare = Source([Pair("ramp", Ramp.clean)])
    stream = Stream([bare], make_stream().recipe)

    with pytest.raises(DataError, match=r"has clean photos only: give its \[\[data\]\] a degradation"):
        stream[0, 0]
