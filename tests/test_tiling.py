import pytest
import torch
import torch.nn.functional as F

from dino_ir import tiling
from dino_ir.catalog import build, find
from dino_ir.contracts import Restorer
from dino_ir.errors import ImageError
from dino_ir.networks.nafnet import NAFNet
from dino_ir.ops.fill import fill
from dino_ir.ops.resample import resize
from dino_ir.pools import Pooled
from dino_ir.restorers.identity import Identity
from dino_ir.restorers.plain import Plain
from dino_ir.tiling import Source, restore_tiles

CPU = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: "
    "you tried to allocate 1073741824 bytes. Error code 12 (Cannot allocate memory)"
)
CUDA = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 7.79 GiB"
MPS = "MPS backend out of memory (MPS allocated: 8.84 GB, other allocations: 40.00 MB, max allowed: 9.07 GB)."
LACKS = [RuntimeError(CPU), torch.OutOfMemoryError(CUDA), RuntimeError(MPS), MemoryError()]


class Picky(Restorer):
    """Darkens tiles of at most `most` pixels a side; of larger ones it says what torch says."""

    multiple_of = 8

    def __init__(self, most, problem):
        super().__init__()
        self.most, self.problem, self.sides = most, problem, []

    def forward(self, degraded, view=None):
        self.sides.append(max(degraded.shape[-2:]))
        if self.sides[-1] > self.most:
            raise self.problem
        return degraded / 2


class Gazer(Restorer):
    """Remembers what it was shown of the whole."""

    multiple_of = 1

    def look(self, photo):
        self.photo = photo
        return photo

    def forward(self, degraded, view=None):
        return degraded


def source_of(photos, reads=None):
    def read(top, left, bottom, right):
        if reads is not None:
            reads.append((bottom - top, right - left))
        return photos[..., top:bottom, left:right]

    return Source((photos.shape[-2], photos.shape[-1]), read)


def changed(restorer, photos, *options, **named):
    result = torch.full_like(photos, torch.nan)
    for top, left, change in restore_tiles(restorer, source_of(photos), *options, **named):
        result[..., top : top + change.shape[-2], left : left + change.shape[-1]] = change
    return result


@pytest.mark.parametrize("problem", LACKS, ids=["CPU", "CUDA", "MPS", "Python"])
@pytest.mark.parametrize("tile", ["auto", 300])
def test_tiles_are_halved_until_they_fit(problem, tile):
    restorer = Picky(100, problem)
    photos = torch.rand(1, 3, 600, 500)

    change = changed(restorer, photos, tile)

    torch.testing.assert_close(change, -photos / 2, atol=1e-6, rtol=0)
    assert restorer.sides[0] <= 64 or tile == 300  # small ones, by which it is found what it takes
    assert max(restorer.sides) > 100 >= restorer.sides[-1] > 50


@pytest.mark.parametrize(("tile", "most"), [("off", 100), ("auto", 20), (300, 60)])
def test_what_cannot_be_halved_fails_as_torch_says_it(tile, most):
    with pytest.raises(torch.OutOfMemoryError, match=r"2\.00 GiB"):
        changed(Picky(most, torch.OutOfMemoryError(CUDA)), torch.rand(1, 3, 300, 300), tile)


def test_other_errors_halve_nothing():
    restorer = Picky(100, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))

    with pytest.raises(RuntimeError, match="mat1"):
        changed(restorer, torch.rand(1, 3, 300, 300), 256)

    assert len(restorer.sides) == 1


@pytest.mark.parametrize("tile", ["auto", 16, "off"])
def test_a_restorer_of_whole_photos_gets_the_whole_and_nothing_else(tile, monkeypatch):
    monkeypatch.setattr(tiling, "WHOLE_SIDE", 16)
    restorer = Picky(1000, MemoryError())
    restorer.works_in_tiles = False

    changed(restorer, torch.rand(1, 3, 90, 200), tile)

    assert restorer.sides == [200]


def test_changing_nothing_adds_exactly_nothing():
    assert not changed(Identity(), torch.rand(1, 3, 130, 190), 32).any()


def test_no_more_than_a_few_rows_are_ever_asked_for(monkeypatch):
    monkeypatch.setattr(tiling, "LOOK_PIXELS", 1000)
    monkeypatch.setattr(tiling, "_STRIP", 1000)
    reads = []
    photos = torch.rand(1, 3, 900, 50)
    restorer = Gazer()

    for _top, _left, change in restore_tiles(restorer, source_of(photos, reads), 40):
        assert max(change.shape[-2:]) <= 40

    assert max(height * width for height, width in reads) <= 64 * 50


def network():
    table = {"name": "plain", "network": {"name": "nafnet", **NAFNet.tiny}}
    return build("restorers", table).eval()


def sides_of(memory):
    """Of the tiles that a real network gets for a photo of 1 megapixel."""
    restorer, sides = network(), []
    restorer.network.register_forward_pre_hook(lambda _module, given: sides.append(given[0].shape[-1]))
    changed(restorer, torch.rand(1, 3, 1000, 1000), memory=memory)
    return sides[-1]


def test_less_memory_gives_smaller_tiles_and_never_larger_than_the_best(monkeypatch):
    monkeypatch.setattr(tiling, "_PROCESS", 0)

    sides = [sides_of(memory) for memory in (5 * 10**6, 40 * 10**6, 10**12)]

    assert sides == sorted(sides)
    assert sides[0] < 128 < sides[1] < 400
    assert sides[2] == sides_of(None) <= tiling.WHOLE_SIDE


def test_too_little_memory_is_refused_with_what_would_do(monkeypatch):
    monkeypatch.setattr(tiling, "_PROCESS", 0)

    with pytest.raises(
        ImageError, match=r"0\.00 GB of memory are too little for this photo; it takes 0\.0\d GB"
    ):
        sides_of(1000)


def test_what_a_network_takes_grows_with_the_pixels(monkeypatch):
    restorer = network()

    fixed, by_pixel = tiling._appetite(restorer, None)

    peak = tiling._peak(restorer, 256, None) * tiling._WASTE
    assert fixed + by_pixel * 256**2 == pytest.approx(peak, rel=0.02)


def test_small_photos_are_looked_at_as_they_are():
    restorer, photos = Gazer(), torch.rand(2, 3, 30, 50)

    changed(restorer, photos, 16)

    assert torch.equal(restorer.photo, photos)


def test_large_photos_are_looked_at_shrunk(monkeypatch):
    monkeypatch.setattr(tiling, "LOOK_PIXELS", 900)
    restorer, photos = Gazer(), torch.rand(2, 3, 300, 150)

    changed(restorer, photos, 64)

    torch.testing.assert_close(restorer.photo, resize(photos, (42, 21)), atol=2e-6, rtol=0)


def test_a_prior_sees_of_a_shrunk_photo_nearly_what_it_sees_of_the_whole():
    ramps = torch.linspace(0, 20, 1600).view(1, 1, -1, 1) + torch.linspace(0, 9, 1400)
    photos = (torch.stack([ramps, 2 * ramps, ramps.flip(-1)], dim=1).squeeze(2).sin() + 1) / 2
    restorer = Gazer()

    changed(restorer, photos, 512)

    assert restorer.photo.shape[-2:] != photos.shape[-2:]
    torch.testing.assert_close(
        resize(restorer.photo, (240, 208)), resize(photos, (240, 208)), atol=0.01, rtol=0
    )


def test_what_alpha_hides_is_not_looked_at(monkeypatch):
    monkeypatch.setattr(tiling, "LOOK_PIXELS", 100)
    photos = torch.full((1, 3, 200, 200), 0.25)
    seen = torch.zeros(1, 1, 200, 200)
    seen[..., 50:90, 120:180] = 1
    hidden = torch.where(seen > 0, photos, torch.rand(1, 3, 200, 200))
    restorer = Gazer()
    source = source_of(hidden)._replace(seen=source_of(seen).read)

    list(restore_tiles(restorer, source, 64))

    torch.testing.assert_close(restorer.photo, torch.full((1, 3, 10, 10), 0.25))
    assert fill(hidden[0], seen[0] > 0).std() < 1e-6


def test_tiles_that_reach_beyond_the_photo_are_mirrored_as_the_whole_is():
    class Blur(Restorer):
        multiple_of = 8

        def forward(self, degraded, view=None):
            return F.avg_pool2d(F.pad(degraded, (1, 1, 1, 1), mode="replicate"), 3, stride=1)

    photos = torch.rand(1, 3, 41, 51)

    whole, tiled = (changed(Blur(), photos, tile) for tile in ("off", 24))

    torch.testing.assert_close(tiled[..., -1:, -1:], whole[..., -1:, -1:], atol=1e-6, rtol=0)


class Relative(Restorer):
    """Adds to every pixel the mean of its channel, over all that it sees, twice."""

    multiple_of = 8

    def __init__(self):
        super().__init__()
        self.pooled = Pooled()
        self.pieces = []

    def forward(self, degraded, view=None):
        self.pieces.append(degraded.shape)
        once = degraded + self.pooled(degraded.mean(dim=(2, 3), keepdim=True))
        return once + self.pooled(once.mean(dim=(2, 3), keepdim=True))


def test_tiles_share_what_is_pooled_over_a_sample_of_the_photo():
    photos = torch.rand(1, 3, 1000, 1400) ** torch.linspace(
        0.2, 5, 1400
    )  # bright at the left, dark at the right
    restorer = Relative()

    change = changed(restorer, photos)

    # A mean m is added, then that of what came, which is 2 m; 42 % of the photo tell it nearly.
    expected = (3 * photos.mean(dim=(2, 3), keepdim=True)).expand_as(photos)
    torch.testing.assert_close(change, expected, atol=0.05, rtol=0)
    assert restorer.pieces[2] == (15, 3, 192, 192)  # the first two find what it takes
    assert max(shape[-1] for shape in restorer.pieces[3:]) <= restorer.tile_side


def test_photos_of_one_batch_share_nothing_with_each_other(monkeypatch):
    monkeypatch.setattr(tiling, "_PIECE", 16)
    photos = torch.rand(2, 3, 96, 128) * torch.tensor([0.1, 1]).view(2, 1, 1, 1)

    change = changed(Relative(), photos, 32)

    torch.testing.assert_close(
        change, (3 * photos.mean(dim=(2, 3), keepdim=True)).expand_as(photos), atol=0, rtol=0.05
    )
    torch.testing.assert_close(change[1:], changed(Relative(), photos[1:], 32), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("size", "tile"), [((500, 560), 256), ((90, 400), 64)])
def test_too_small_a_sample_is_not_taken(size, tile):
    restorer = Relative()

    changed(restorer, torch.rand(1, 3, *size), tile)

    assert {shape[0] for shape in restorer.pieces} == {1}


class Hidden(Restorer):
    """One whose layers tell nobody what they pool."""

    def __init__(self, restorer):
        super().__init__()
        self.hidden, self.multiple_of = (restorer,), restorer.multiple_of

    def forward(self, degraded, view=None):
        return self.hidden[0](degraded, view)


def test_what_cannot_share_is_cut_into_tiles_as_well():
    restorer = Relative()

    changed(Hidden(restorer), torch.rand(1, 3, 1000, 1400))

    assert 400 < max(shape[-1] for shape in restorer.pieces) <= restorer.tile_side
    assert {shape[0] for shape in restorer.pieces} == {1}


def test_one_tile_sees_itself():
    restorer, photos = Relative(), torch.rand(1, 3, 200, 200)

    for tile in ("off", 200, 512):
        changed(restorer, photos, tile)

    assert restorer.pieces == [(1, 3, 200, 200)] * 3


@pytest.mark.parametrize("name", ["nafnet", "restormer"])
def test_a_networks_tiles_are_those_of_the_whole(name, monkeypatch):
    """A photo that is dark on one side and noisy on the other, in tiles that see one side or the other."""
    monkeypatch.setattr(tiling, "_PIECE", 96)
    torch.manual_seed(0)
    network = build("networks", {"name": name, **find("networks", name).tiny}).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    restorer = Plain(network).eval()
    photos = torch.rand(1, 3, 384, 384) * torch.linspace(0, 1, 384)

    whole, shared = (changed(restorer, photos, tile) for tile in ("off", 192))
    alone = changed(Hidden(restorer), photos, 192)

    # Not equal: zeros beyond the edges of pieces have a share in what is measured.
    assert (shared - whole).square().mean() < 0.5 * (alone - whole).square().mean()
