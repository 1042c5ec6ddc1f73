"""What phones and editors put into JPEGs beside one packet of XMP: gain maps, videos, more than a segment."""

import struct

import numpy as np
import pytest
import pyvips
import torch

from dino_ir.files.images import Photo, read_photo, write_photo

EXIF = b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHI4sI", 271, 2, 4, b"Me\0\0", 0)
IPTC = b"Photoshop 3.0\x008BIM\4\4\0\0" + struct.pack(">I", 12) + b"\x1c\x02\x78\0\x07Caption"
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description %s/></x:xmpmeta>'
START, MORE = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"


def segment(marker, content):
    return bytes([0xFF, marker]) + struct.pack(">H", 2 + len(content)) + content


def jpeg(*segments):
    content = (pyvips.Image.black(16, 12, bands=3) + 90).cast("uchar").jpegsave_buffer()
    return content[:2] + b"".join(segments) + content[2:]


def rewritten(folder, content, name="b.jpg"):
    """A JPEG read and written: the notes of both, and what is read then."""
    (folder / "a.jpg").write_bytes(content)
    photo = read_photo(folder / "a.jpg")
    notes = write_photo(folder / name, photo)
    return (*photo.notes, *notes), read_photo(folder / name)


def test_metadata_survive_beside_a_gain_map(tmp_path):
    light = np.linspace(0, 4, 64 * 96 * 3, dtype=np.float32).reshape(64, 96, 3)
    hdr = pyvips.Image.new_from_array(light, interpretation="scrgb").uhdrsave_buffer(Q=90, keep="gainmap")
    packet = XMP % b'dc:format="image/jpeg" hdrgm:Version="1.0"'
    segments = [segment(0xE1, START + packet), segment(0xED, IPTC), segment(0xE1, MORE + b"g" * 80)]

    notes, photo = rewritten(tmp_path, hdr[:2] + b"".join(segments) + hdr[2:])

    assert notes == ()
    assert photo.metadata["gainmap-data"]
    assert photo.metadata["xmp-data"] == XMP % b'dc:format="image/jpeg"'
    assert photo.metadata["iptc-data"] == IPTC
    assert photo.traits.further == segments[2]


@pytest.mark.parametrize("is_first", [True, False])
def test_xmp_and_resources_of_several_segments_survive_in_a_jpeg(tmp_path, is_first):
    more = [segment(0xE1, MORE + b"g" * 60_000), segment(0xED, IPTC.replace(b"Caption", b"Another"))]
    first = [segment(0xE1, START + XMP % b""), segment(0xED, IPTC)]
    content = jpeg(*([more[0], *first, more[1]] if is_first else [*first, *more]))

    kept, photo = rewritten(tmp_path, content)
    lost, _photo = rewritten(tmp_path, content, "b.webp")

    assert (kept, photo.traits.further) == ((), b"".join(more))
    assert (photo.metadata["xmp-data"], photo.metadata["iptc-data"]) == (XMP % b"", IPTC)
    assert lost == ("a part of its XMP or IPTC has no place in WebP", "its IPTC has no place in WebP")


@pytest.mark.parametrize(
    ("name", "length", "notes"),
    [
        ("xmp-data", 65_504, ()),
        ("xmp-data", 65_505, ("its XMP is too long and was left out",)),
        ("iptc-data", 65_533, ()),
        ("iptc-data", 65_534, ("its IPTC is too long and was left out",)),
    ],
)
def test_what_does_not_fit_into_a_segment_is_said(tmp_path, name, length, notes):
    content = IPTC.ljust(length, b"\0")
    photo = Photo(torch.rand(3, 4, 4), metadata={name: content})

    assert write_photo(tmp_path / "a.jpg", photo) == notes
    assert read_photo(tmp_path / "a.jpg").metadata.get(name) == (None if notes else content)


@pytest.mark.parametrize("name", ["b.jpg", "b.png"])
def test_the_video_of_a_motion_photo_is_left_out_with_a_note(tmp_path, name):
    told = b'GCamera:MotionPhoto="%d" GCamera:MotionPhotoVersion="1"'
    video = b"\0\0\0\x18ftypmp42" + bytes(100)

    notes, photo = rewritten(tmp_path, jpeg(segment(0xE1, START + XMP % (told % 1))) + video, name)

    assert notes == ("its video was left out",)
    assert (photo.metadata["xmp-data"], photo.notes) == (XMP % (told % 0), ())


def test_exif_stays_in_front(tmp_path):
    photo = Photo(torch.rand(3, 4, 4), metadata={"exif-data": EXIF, "xmp-data": XMP % b"", "iptc-data": IPTC})

    write_photo(tmp_path / "a.jpg", photo)

    content = (tmp_path / "a.jpg").read_bytes()
    assert 0 < content.index(b"Exif\0\0") < content.index(START) < content.index(b"Photoshop")
    assert read_photo(tmp_path / "a.jpg").metadata["exif-data"].startswith(EXIF)
