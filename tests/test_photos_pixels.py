"""What a restorer sees of a photo, and how what it changes reaches the result's pixels."""

import struct

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dino_ir.contracts import Restorer
from dino_ir.files.images import Photo, read_photo, write_photo
from dino_ir.formats.vips import profile_of_display_p3
from dino_ir.photos import Options
from dino_ir.places import Job
from dino_ir.restoration import restore_files
from dino_ir.restorers.identity import Identity

DISPLAY_P3 = profile_of_display_p3()
CURVE = DISPLAY_P3.index(b"para")
LINEAR_P3 = DISPLAY_P3[:CURVE] + b"para" + bytes(8) + struct.pack(">i", 65536) + DISPLAY_P3[CURVE + 16 :]


class Spy(Restorer):
    """Remembers what it saw, and darkens it."""

    multiple_of = 1

    def __init__(self, share=0.5):
        super().__init__()
        self.share = share
        self.seen = []

    def forward(self, degraded, view=None):
        self.seen.append(degraded.clone())
        return degraded * self.share


class Blur(Restorer):
    multiple_of = 1

    def forward(self, degraded, view=None):
        return F.avg_pool2d(F.pad(degraded, (3, 3, 3, 3), mode="replicate"), 7, stride=1)


class Colourful(Restorer):
    """Reddens each place by its own amount."""

    multiple_of = 1

    def forward(self, degraded, view=None):
        return degraded * degraded.new_tensor([1.2, 1, 0.9])[:, None, None]


class Flattener(Restorer):
    """Evens out what has little contrast, as sky has."""

    multiple_of = 1

    def forward(self, degraded, view=None):
        return degraded.mean().expand_as(degraded) if degraded.std() < 0.02 else degraded


def restored(folder, photo, restorer, suffix=".tif", is_checked=False, **options):
    write_photo(folder / "a.tif", photo)
    job = Job(folder / "a.tif", folder / f"b{suffix}")
    (row,) = restore_files(restorer, [job], Options(**options, is_checked=is_checked))
    assert row.status == "restored", row
    return read_photo(folder / f"b{suffix}"), row


def of(numbers):
    return torch.tensor(numbers).view(3, 1, 1).expand(3, 8, 8)


def test_a_restorer_sees_display_p3_as_srgb(tmp_path):
    spy = Spy()
    numbers = torch.tensor([234, 51, 35]) / 255  # the red of sRGB

    restored(tmp_path, Photo(of(numbers.tolist()), 16, metadata={"icc-profile-data": DISPLAY_P3}), spy)

    torch.testing.assert_close(spy.seen[0][0, :, 0, 0], torch.tensor([1.0, 0, 0]), atol=0.02, rtol=0)


def test_a_restorer_sees_light_as_srgb_encodes_it(tmp_path):
    spy = Spy()

    restored(tmp_path, Photo(of([0.2140] * 3), 16, metadata={"icc-profile-data": LINEAR_P3}), spy)

    torch.testing.assert_close(spy.seen[0], torch.full((1, 3, 8, 8), 0.5), atol=1e-3, rtol=0)


def test_what_it_changes_is_changed_in_the_photos_own_numbers(tmp_path):
    photo = Photo(of([0.2140, 0.2140, 0.2140]), 16, metadata={"icc-profile-data": LINEAR_P3})

    result, _row = restored(tmp_path, photo, Spy())

    torch.testing.assert_close(result.pixels, of([0.0509] * 3), atol=2e-4, rtol=0)  # light of 0.25 in sRGB
    assert result.metadata["icc-profile-data"] == LINEAR_P3


@pytest.mark.parametrize("profile", [None, DISPLAY_P3, LINEAR_P3], ids=["none", "P3", "linear P3"])
@pytest.mark.parametrize("restorer", [Identity(), Spy(0.7), Blur()], ids=["identity", "darker", "blurred"])
def test_a_neutral_photo_stays_neutral(tmp_path, restorer, profile):
    ramp = torch.linspace(0, 1, 65536).view(1, 256, 256).expand(3, -1, -1)
    metadata = {"icc-profile-data": profile} if profile else {}

    result, _row = restored(tmp_path, Photo(ramp, 16, metadata=metadata), restorer)

    spread = result.pixels.amax(dim=0) - result.pixels.amin(dim=0)
    assert spread.max() <= 1.01 / 65535
    if isinstance(restorer, Identity):
        assert torch.equal(result.pixels, read_photo(tmp_path / "a.tif").pixels)


@pytest.mark.parametrize("limit", [4_000_000, 100], ids=["small", "large"])
@pytest.mark.parametrize("profile", [None, LINEAR_P3], ids=["none", "linear P3"])
def test_a_neutral_photo_stays_neutral_whatever_the_restorer_does(tmp_path, monkeypatch, profile, limit):
    monkeypatch.setattr("dino_ir.photos.LARGE", limit)
    noise = torch.rand(1, 80, 90, generator=torch.Generator().manual_seed(0)).expand(3, -1, -1)
    alpha = torch.ones(1, 80, 90)
    alpha[:, :20, :30] = 0
    noise = torch.where(alpha > 0, noise, of([0.9, 0.1, 0.3])[:, :1, :1])  # which nobody sees
    photo = Photo(noise, 16, alpha, {"icc-profile-data": profile} if profile else {})

    result, _row = restored(tmp_path, photo, Colourful(), tile=32)

    seen = result.pixels[:, 20:]
    assert torch.equal(seen, seen[:1].expand(3, -1, -1))
    assert (seen - noise[:, 20:]).abs().max() > 0.02


def test_a_photo_with_one_place_of_colour_is_not_neutral(tmp_path):
    pixels = torch.full((3, 80, 90), 0.5)
    pixels[0, 79, 89] = 0.6

    result, _row = restored(tmp_path, Photo(pixels, 16), Colourful())

    torch.testing.assert_close(result.pixels[:, 0, 0], torch.tensor([0.6, 0.5, 0.45]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("limit", [4_000_000, 100], ids=["small", "large"])
def test_a_photo_is_judged_as_a_whole_not_by_its_tiles(tmp_path, monkeypatch, limit):
    monkeypatch.setattr("dino_ir.photos.LARGE", limit)
    pixels = torch.full((3, 128, 512), 0.7)
    pixels[:, 64:] += 0.02
    pixels[:, :, 256:] -= torch.rand(3, 128, 256, generator=torch.Generator().manual_seed(0)) / 2
    pixels[:, :, 384:] -= 0.15

    result, _row = restored(tmp_path, Photo(pixels, 16), Flattener(), is_checked=True, tile=128)

    assert result.pixels[:, :, :64].std() < 1e-4


def test_colours_that_srgb_cannot_show_are_kept(tmp_path):
    green = Photo(of([0.0, 1.0, 0.0]), 16, metadata={"icc-profile-data": DISPLAY_P3})

    result, _row = restored(tmp_path, green, Identity())

    assert torch.equal(result.pixels, green.pixels)


@pytest.mark.parametrize("profile", [DISPLAY_P3, LINEAR_P3])
@pytest.mark.parametrize("strength", [0, 0.5, 1])
def test_random_colours_pass_the_identity_bit_for_bit(tmp_path, strength, profile):
    pixels = torch.randint(0, 65536, (3, 40, 40)) / 65535

    photo = Photo(pixels, 16, metadata={"icc-profile-data": profile})
    result, _row = restored(tmp_path, photo, Identity(), strength=strength)

    if strength == 0.5:  # there and back to light is rounded
        torch.testing.assert_close(result.pixels, pixels, atol=2 / 65535, rtol=0)
    else:
        assert torch.equal(result.pixels, pixels)


def test_grey_is_restored_as_grey(tmp_path):
    spy = Spy()

    result, _row = restored(tmp_path, Photo(torch.full((1, 5, 5), 0.5), 32), spy)

    assert spy.seen[0].shape[1] == 3
    torch.testing.assert_close(result.pixels, torch.full((1, 5, 5), 0.25))


def edge(hidden):
    """An orange shape on nothing; what lies under nothing is `hidden`."""
    alpha = torch.zeros(1, 32, 32)
    alpha[:, 8:24, 8:24] = 1
    alpha[:, 8:24, 24] = 0.5
    pixels = torch.where(alpha > 0, of([1.0, 0.5, 0.0])[:, :1, :1], hidden)
    return Photo(pixels, 16, alpha)


@pytest.mark.parametrize("hidden", [torch.zeros(3, 32, 32), torch.rand(3, 32, 32)], ids=["black", "noise"])
def test_what_lies_under_transparent_pixels_does_not_bleed_and_stays(tmp_path, hidden):
    photo = edge(hidden)

    result, _row = restored(tmp_path, photo, Blur(), suffix=".png")

    is_seen = (photo.alpha > 0).expand(3, -1, -1)
    given = read_photo(tmp_path / "a.tif").pixels
    torch.testing.assert_close(result.pixels[is_seen], given[is_seen], atol=1e-4, rtol=0)
    assert torch.equal(result.pixels[~is_seen], given[~is_seen])
    assert torch.equal(result.alpha, read_photo(tmp_path / "a.tif").alpha)


def test_a_photo_of_nothing_but_transparency_comes_back(tmp_path):
    photo = Photo(torch.randint(0, 256, (3, 9, 9)) / 255, 8, torch.zeros(1, 9, 9))

    result, _row = restored(tmp_path, photo, Spy(), suffix=".png")

    assert torch.equal(result.pixels, photo.pixels)


def test_an_unreadable_profile_is_said_and_kept(tmp_path):
    table = DISPLAY_P3.replace(b"rTRC", b"A2B0")
    pixels = torch.randint(0, 256, (3, 9, 9)) / 255

    result, row = restored(tmp_path, Photo(pixels, metadata={"icc-profile-data": table}), Identity())

    assert row.message == "its colour profile is a table of colours: taken for sRGB while it was restored"
    assert result.metadata["icc-profile-data"] == table
    assert torch.equal(result.pixels, pixels)


def test_strength_blends_light(tmp_path):
    result, _row = restored(tmp_path, Photo(of([0.5] * 3), 32), Spy(), strength=0.5)

    light = (((np.array([0.5, 0.25]) + 0.055) / 1.055) ** 2.4).mean()
    expected = 1.055 * light ** (1 / 2.4) - 0.055
    torch.testing.assert_close(result.pixels, of([expected] * 3).float(), atol=1e-5, rtol=0)
