import pytest

from dino_ir.formats.xmp import upright


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (b'<a tiff:Orientation="6"/>', b'<a tiff:Orientation="1"/>'),
        (b"<tiff:Orientation>8</tiff:Orientation>", b"<tiff:Orientation>1</tiff:Orientation>"),
        (b"<a hdrgm:Version='1.0' dc:b=\"c\"/>", b'<a dc:b="c"/>'),
        (b"<a><hdrgm:Version>1.0</hdrgm:Version><b/></a>", b"<a><b/></a>"),
        (b'<a GCamera:MotionPhoto="0"/>', b'<a GCamera:MotionPhoto="0"/>'),
        (b'<a exif:Orientation="6" tiff:Make="1"/>', b'<a exif:Orientation="6" tiff:Make="1"/>'),
    ],
)
def test_only_what_is_no_longer_so_is_changed(packet, expected):
    assert upright(packet) == (expected, ())


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (b'<a GCamera:MotionPhoto="1" b="1"/>', b'<a GCamera:MotionPhoto="0" b="1"/>'),
        (b"<GCamera:MicroVideo>1</GCamera:MicroVideo>", b"<GCamera:MicroVideo>0</GCamera:MicroVideo>"),
    ],
)
def test_a_video_is_said_to_be_lost(packet, expected):
    assert upright(packet) == (expected, ("its video was left out",))
