"""XMP, put right for a photo that was turned upright, and of which only the picture is left."""

import re

__all__ = ["upright"]

_ORIENTATION = re.compile(rb"""(tiff:Orientation(?:>|\s*=\s*["']))[1-8]""")
_VIDEO = re.compile(rb"""((?:MotionPhoto|MicroVideo)(?:>|\s*=\s*["']))1""")
_GAIN_MAP = re.compile(rb"""\shdrgm:Version\s*=\s*(?:"[^"]*"|'[^']*')|<hdrgm:Version>[^<]*</hdrgm:Version>""")


def upright(packet: bytes) -> tuple[bytes, tuple[str, ...]]:
    """The packet with orientation 1, and without word of a video behind the picture; and what is lost.

    Nor does it tell of a gain map, whose length and place would be wrong: one that is kept tells of itself.
    """
    packet, videos = _VIDEO.subn(rb"\g<1>0", packet)
    packet = _GAIN_MAP.sub(b"", _ORIENTATION.sub(rb"\g<1>1", packet))
    return packet, ("its video was left out",) if videos else ()
