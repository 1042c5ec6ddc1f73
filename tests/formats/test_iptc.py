import io
import struct

import pytest
from PIL import Image, IptcImagePlugin, JpegImagePlugin

from dino_ir.formats.iptc import unwrap, wrap

CAPTION = b"\x1c\x02\x78\0\x07Caption"


def resource(number, data, name=b""):
    head = b"8BIM" + struct.pack(">H", number) + bytes([len(name)]) + name + bytes((len(name) + 1) % 2)
    return head + struct.pack(">I", len(data)) + data + bytes(len(data) % 2)


@pytest.mark.parametrize("iptc", [CAPTION, CAPTION + b"\x1c\x02\x19\0\x02ab"])
def test_what_is_wrapped_is_what_pillow_finds_in_a_jpeg(iptc):
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, "jpeg")
    segment = wrap(iptc)
    content = file.getvalue()
    with_it = content[:2] + b"\xff\xed" + struct.pack(">H", 2 + len(segment)) + segment + content[2:]

    with Image.open(io.BytesIO(with_it)) as image:
        assert isinstance(image, JpegImagePlugin.JpegImageFile)
        assert IptcImagePlugin.getiptcinfo(image)[2, 120] == b"Caption"
    assert unwrap(segment) == iptc


def test_what_has_its_form_already_stays():
    assert wrap(wrap(CAPTION)) == wrap(CAPTION)
    assert unwrap(CAPTION) == CAPTION


def test_iptc_is_found_among_other_resources():
    content = b"Photoshop 3.0\0" + resource(0x03ED, b"odd", b"name") + resource(0x0404, CAPTION)

    assert unwrap(content) == CAPTION


@pytest.mark.parametrize(
    "content",
    [b"", resource(0x03ED, b"abc"), b"8BIM\4\4", b"8BIM\4\4\xff\0\0\0\0\0", resource(0x0404, b"")[:-4]],
)
def test_no_iptc_is_none(content):
    assert unwrap(b"Photoshop 3.0\0" + content) is None
