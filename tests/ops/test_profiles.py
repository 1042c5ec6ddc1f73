import io
import struct

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from dino_ir.ops.color import to_srgb
from dino_ir.ops.profiles import from_light, read_profile, to_light

D50, D65 = (0.3457, 0.3585), (0.3127, 0.3290)
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
ADOBE = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
PROPHOTO = ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001))
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def fixed(*numbers):
    return struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))


def gamma(value):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


LINEAR = b"curv\0\0\0\0" + struct.pack(">I", 0)
GRID = np.linspace(0, 1, 1024)
IEC = np.where(GRID <= 0.04045, GRID / 12.92, ((GRID + 0.055) / 1.055) ** 2.4)
TABLE = b"curv\0\0\0\0" + struct.pack(">I", 1024) + (IEC * 65535).round().astype(">u2").tobytes()
IEC_CURVE = b"para\0\0\0\0\0\3\0\0" + fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
SEVEN = b"para\0\0\0\0\0\4\0\0" + fixed(2.4, 0.9, 0.1, 0.05, 0.05, 0.0, 0.0)
FOUR = b"para\0\0\0\0\0\2\0\0" + fixed(2.0, 0.9, 0.1, 0.02)
THREE = b"para\0\0\0\0\0\1\0\0" + fixed(2.0, 1.0, 0.0)


def primaries_to_d50(primaries, white):
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    source, target = (np.array([x / y, 1, (1 - x - y) / y]) for x, y in (white, D50))
    scaled = columns * np.linalg.solve(columns, source)
    return np.linalg.solve(BRADFORD, np.diag(BRADFORD @ target / (BRADFORD @ source)) @ BRADFORD @ scaled)


def profile(curve, primaries=None, white=D65):
    """An ICC profile of version 2: of RGB, or of grey without primaries."""
    tags = {b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249), b"cprt": b"text\0\0\0\0none\0"}
    tags[b"desc"] = b"desc\0\0\0\0" + struct.pack(">I", 2) + b"a\0" + bytes(78)
    if primaries:
        matrix = primaries_to_d50(primaries, white)
        for name, column in zip((b"r", b"g", b"b"), matrix.T):
            tags |= {name + b"XYZ": b"XYZ \0\0\0\0" + fixed(*column), name + b"TRC": curve}
    else:
        tags[b"kTRC"] = curve
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    size = 128 + len(table) + len(body)
    colours = b"RGB " if primaries else b"GRAY"
    head = struct.pack(">I4sI4s4s4s", size, b"none", 0x02400000, b"mntr", colours, b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + fixed(0.9642, 1, 0.8249)
    return head.ljust(128, b"\0") + table + body


RGB = {
    "Display P3": profile(IEC_CURVE, P3),
    "Adobe RGB": profile(gamma(2.2), ADOBE),
    "ProPhoto": profile(gamma(1.8), PROPHOTO, D50),
    "linear": profile(LINEAR, SRGB),
    "linear P3": profile(LINEAR, P3),
    "sRGB of another curve": profile(SEVEN, SRGB),
    "sRGB squared": profile(THREE, SRGB),
}
LIGHT_BLACK = profile(FOUR, SRGB)


@pytest.mark.parametrize("data", [*RGB.values(), LIGHT_BLACK], ids=[*RGB, "light black"])
def test_colours_are_those_littlecms_shows(data):
    colours = torch.randint(0, 256, (3, 40, 40), dtype=torch.uint8)
    image = Image.fromarray(colours.movedim(0, 2).numpy())
    ends = ImageCms.ImageCmsProfile(io.BytesIO(data)), ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(*ends, "RGB", "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)

    shown = to_srgb(to_light(colours / 255, read_profile(data, 3))).clamp(0, 1) * 255

    expected = torch.tensor(np.array(ImageCms.applyTransform(image, transform))).movedim(2, 0)
    assert (shown - expected).abs().max() < 2.5
    assert (shown - expected).abs().mean() < 0.5  # it rounds to 8 bits


@pytest.mark.parametrize("data", RGB.values(), ids=RGB)
def test_the_way_back_leads_to_the_same_numbers(data):
    read, numbers = read_profile(data, 3), torch.rand(3, 50, 50)

    back = from_light(to_light(numbers, read), read)

    assert (back - numbers).abs().max() < 1e-3
    assert (back - numbers).abs().mean() < 2e-5


@pytest.mark.parametrize("data", RGB.values(), ids=RGB)
def test_grey_is_grey_there_and_back(data):
    read, ramp = read_profile(data, 3), torch.linspace(0, 1, 65536).expand(3, 1, -1)

    light = to_light(ramp, read)
    back = from_light(light * 0.7, read)

    for planes in (light, back):
        assert (planes.amax(dim=0) - planes.amin(dim=0)).max() < 1e-6


@pytest.mark.parametrize("curve", [TABLE, IEC_CURVE], ids=["table", "formula"])
def test_srgb_is_none(curve):
    assert read_profile(profile(curve, SRGB), 3) is None
    assert read_profile(profile(curve), 1) is None


def test_pillows_srgb_is_none():
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    assert read_profile(data, 3) is None


@pytest.mark.parametrize("exponent", [1.0, 1.8, 2.6])
def test_grey_follows_its_curve(exponent):
    read, numbers = read_profile(profile(gamma(exponent)), 1), torch.rand(1, 30, 30)

    light = to_light(numbers, read)

    expected = (numbers ** (round(exponent * 256) / 256)).expand(3, -1, -1)
    torch.testing.assert_close(light, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(from_light(light, read), numbers, atol=1e-3, rtol=0)


def test_colours_that_srgb_cannot_show_lie_outside_and_come_back():
    read, red = read_profile(RGB["Display P3"], 3), torch.tensor([1.0, 0, 0]).view(3, 1, 1)

    light = to_light(red, read)

    assert light[0] > 1.1
    assert light[1] < -0.02
    torch.testing.assert_close(from_light(light, read), red, atol=2e-3, rtol=0)


def test_what_a_profile_cannot_hold_is_clipped():
    read = read_profile(profile(LINEAR, SRGB), 3)

    assert from_light(torch.tensor([-1.0, 0.5, 2.0]).view(3, 1, 1), read)[0].item() == 0
    assert from_light(torch.tensor([-1.0, 0.5, 2.0]).view(3, 1, 1), read)[2].item() == 1


GOOD = RGB["Display P3"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "for other colours"),
        (profile(gamma(2)), "for other colours"),
        (GOOD[:200], "is damaged"),
        (GOOD.replace(b"rTRC", b"A2B0"), "is a table of colours"),
        (GOOD[:20] + b"Lab " + GOOD[24:], "is a table of colours"),
        (GOOD.replace(b"gXYZ", b"none"), "is damaged"),
        (profile(gamma(0), P3), "is damaged"),
        (profile(b"para\0\0\0\0\0\x09\0\0", P3), "is damaged"),
        (profile(b"para\0\0\0\0\0\1\0\0" + fixed(2, 0, 1), P3), "is damaged"),
        (profile(b"curv\0\0\0\0" + struct.pack(">I3H", 3, 9, 5, 1), P3), "is damaged"),
    ],
)
def test_what_cannot_be_read_says_why(data, message):
    with pytest.raises(ValueError, match=message):
        read_profile(data, 3)


def test_a_profile_with_any_byte_changed_is_read_or_refused():
    rng = np.random.default_rng(0)
    for _ in range(2000):
        data = bytearray(GOOD)
        data[rng.integers(128, len(data))] = rng.integers(256)
        try:
            read = read_profile(bytes(data), 3)
        except ValueError:
            continue
        assert read is None or to_light(torch.rand(3, 2, 2), read).isfinite().all()
