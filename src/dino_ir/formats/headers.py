"""What the first bytes of an image file tell, and libvips does not: its kind, its quality, its colours."""

import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, NamedTuple

__all__ = [
    "IMAGE_SUFFIXES",
    "KNOWN_SUFFIXES",
    "READ_SUFFIXES",
    "Traits",
    "is_like_an_image",
    "kind_of_content",
    "no_file",
    "profile_problem",
    "read_traits",
    "refusal",
]

IMAGE_SUFFIXES = (".avif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""The kinds of file that can be written; in files' names, case is ignored."""

_RAW = {
    *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".gpr", ".iiq", ".kdc", ".mef"),
    *(".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw"),
    ".x3f",
}
READ_SUFFIXES = (*IMAGE_SUFFIXES, ".apng", ".gif")
"""The kinds of file that can be read."""

_NOT_READ = {
    *(".bmp", ".exr", ".hdr", ".heic", ".heif", ".hif", ".ico", ".j2k", ".jp2", ".jpf", ".jxl", ".pbm"),
    *(".pgm", ".pnm", ".ppm", ".psd", ".svg", ".tga"),
}

KNOWN_SUFFIXES = tuple(sorted({*READ_SUFFIXES, *_NOT_READ, *_RAW}))
"""Every ending that says a file is an image, whether it can be read or not."""

_KINDS_BY_START = (
    (b"BM", "a BMP"),
    (b"8BPS", "a Photoshop document"),
    (b"v/1\x01", "an OpenEXR image"),
    (b"#?RADIANCE", "a Radiance image"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL"),
    (b"\xff\x0a", "a JPEG XL"),
    (b"%PDF", "a PDF"),
)
_KINDS_BY_BRAND = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), "a HEIC"),
    b"avis": "an animated AVIF",
}
_RAW_STARTS = (b"FUJIFILMCCD-RAW", b"FOVb", b"IIRO", b"IIRS", b"IIU\0", b"MMOR", b"\0MRM")

_STARTS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"RIFF": "WebP",
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "TIFF"),
    b"GIF8": "GIF",
}

_LUMA_TABLE = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)  # ITU-T T.81, table K.1; its order does not matter here
_GAIN_MAPS = (b"http://ns.adobe.com/hdr-gain-map/", b"urn:iso:std:iso:ts:21496:-1")  # libvips knows both
_XMP, _MORE_XMP = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
_PHOTOSHOP = b"Photoshop 3.0\0"  # resources of its, among them IPTC
_LOSSY = 90  # of a WebP or AVIF: its quality cannot be read from the file
_STANDARD_GAMMA = 45455  # 1 / 2.2, as a PNG writes it
_SRGB, _UNSAID, _P3 = 1, 2, 12  # primaries, by ITU-T H.273, table 2
_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}  # table 3


class Traits(NamedTuple):
    """What a file's header says besides its size and type of number."""

    quality: int | None = None  # 1 to 100; None where it was coded without loss
    is_subsampled: bool = False  # a JPEG whose colour has half the resolution
    is_display_p3: bool = False  # by its code points, without a profile
    hdr: str | None = None  # "PQ" or "HLG"
    fields: Mapping[str, bytes] = MappingProxyType({})  # XMP and IPTC of a JPEG, by libvips' names
    further: bytes = b""  # segments of a JPEG in which those go on
    notes: tuple[str, ...] = ()  # what cannot be kept, each a few words


def no_file(path: Path) -> str | None:
    """Say why there is nothing to read at a path, as the end of a sentence; None if there is."""
    try:
        if path.is_dir():
            with os.scandir(path) as entries:
                next(entries, None)
            return "is a folder, not an image"
        if not path.exists():
            return "does not exist"
        if not path.is_file():
            return "is a pipe or a device, not an image"
        return None if path.stat().st_size else "is empty"
    except OSError as problem:
        return f"cannot be read: {problem.strerror or problem}"


def refusal(path: Path, file: BinaryIO) -> str | None:
    """Say why a file cannot be read, as the end of a sentence; None if it may well be.

    A camera's raw file is told by its name too: many are TIFFs, and their first page a thumbnail.
    """
    head = _at(file, 0, 16)
    is_raw = head.startswith(_RAW_STARTS) or head[8:10] == b"CR" or head[4:12] == b"ftypcrx "
    if is_raw or path.suffix.lower() in _RAW:
        return "is a camera's raw file; develop it to TIFF or JPEG first"
    kind = next((kind for start, kind in _KINDS_BY_START if head.startswith(start)), None)
    if head[4:8] == b"ftyp":
        kind = _KINDS_BY_BRAND.get(head[8:12])
    return kind and f"is {kind}, which cannot be read; save it as PNG or TIFF first"


def is_like_an_image(file: BinaryIO) -> bool:
    """Whether a file starts as a JPEG, PNG, WebP, TIFF, GIF or AVIF does, though it may be damaged."""
    return kind_of_content(file) is not None


def kind_of_content(file: BinaryIO) -> str | None:
    """The kind that a file starts as, such as "JPEG", whatever its name; None for one that cannot be read."""
    head = _at(file, 0, 8)
    if head[4:] == b"ftyp":
        return "AVIF"
    return next((kind for start, kind in _STARTS.items() if head.startswith(start)), None)


def read_traits(file: BinaryIO) -> Traits:
    """Read what is known of a JPEG, PNG, WebP or AVIF; of another file, nothing.

    A damaged header tells less, and raises nothing.
    """
    head = _at(file, 0, 12)
    if head.startswith(b"\xff\xd8"):
        return _jpeg(file)
    if head.startswith(b"\x89PNG"):
        return _png(file)
    if head.startswith(b"RIFF"):
        return Traits(None if _is_lossless_webp(file) else _LOSSY)
    if head[4:8] == b"ftyp":
        _before, found, after = _at(file, 0, 1 << 16).partition(b"colrnclx")
        return _in_colours(Traits(_LOSSY), after[1:4:2] if found else b"")
    return Traits()


def profile_problem(profile: bytes, channels: int) -> str | None:
    """Say why a colour profile cannot be kept, as the end of a sentence; None if it can.

    A PNG is refused by its reader if it holds one of these (ICC.1:2022, 7.2 and 7.3).
    """
    if profile[36:40] != b"acsp" or len(profile) != int.from_bytes(profile[:4]) or len(profile) < 132:
        return "is damaged"
    for place in range(132, 132 + 12 * int.from_bytes(profile[128:132]), 12):
        start, size = (int.from_bytes(profile[place + part : place + part + 4]) for part in (4, 8))
        if place + 12 > len(profile) or start + size > len(profile):
            return "is damaged"
    return None if profile[16:20] == (b"GRAY" if channels == 1 else b"RGB ") else "is for other colours"


def _jpeg(file: BinaryIO) -> Traits:
    quality, is_subsampled = 95, False
    for marker, start, size in _segments(file):
        if marker == 0xDB:
            table = _at(file, start, min(size, 65))
            if len(table) == 65 and table[0] == 0:  # of 8 bits, and for luma
                quality = _nearest_quality(sum(table[1:]))
        elif marker in (0xC0, 0xC1, 0xC2):
            sampling = _at(file, start, min(size, 18))[7::3]
            is_subsampled = len(sampling) == 3 and sampling[0] == 0x22
    fields, further = _metadata_of_jpeg(file)
    return Traits(quality, is_subsampled, notes=_further_pictures(file), fields=fields, further=further)


def _metadata_of_jpeg(file: BinaryIO) -> tuple[dict[str, bytes], bytes]:
    """XMP and IPTC, which libvips does not read beside a gain map; and segments that it never reads."""
    fields, further = dict[str, bytes](), b""
    for marker, start, size in _segments(file):
        content = _at(file, start, size) if marker in (0xE1, 0xED) else b""
        if content.startswith(_XMP):
            fields.setdefault("xmp-data", content.removeprefix(_XMP))
        elif content.startswith(_PHOTOSHOP) and "iptc-data" not in fields:
            fields["iptc-data"] = content
        elif content.startswith((_MORE_XMP, _PHOTOSHOP)):
            further += _at(file, start - 4, 4) + content
    return fields, further


def _further_pictures(file: BinaryIO) -> tuple[str, ...]:
    """A note if pictures follow a JPEG's first, besides previews of it and an HDR gain map, which is kept."""
    parts = [_at(file, start, size) for marker, start, size in _segments(file) if marker in (0xE1, 0xE2)]
    indices = [part.removeprefix(b"MPF\0") for part in parts if part.startswith(b"MPF\0")]
    count = max(map(_count_pictures, indices), default=1)
    count -= any(mark in part for part in parts for mark in _GAIN_MAPS)
    return (f"the first of {count} pictures",) if count > 1 else ()


def _count_pictures(index: bytes) -> int:
    """How many pictures the index of a multi-picture file tells of (CIPA DC-007), without previews."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(index[:4])
    if order is None or len(index) < 8:
        return 1
    (start,) = struct.unpack_from(f"{order}I", index, 4)
    for place in range(start + 2, len(index) - 11, 12):
        tag, _kind, size, value = struct.unpack_from(f"{order}HHII", index, place)
        if tag == 0xB002:
            rows = range(value, min(value + size, len(index)) - 15, 16)
            kinds = (struct.unpack_from(f"{order}I", index, row)[0] >> 16 & 0xFF for row in rows)
            return sum(kind != 0x01 for kind in kinds)
    return 1


def _segments(file: BinaryIO) -> Iterator[tuple[int, int, int]]:
    """Marker, start and size of each of a JPEG's segments, up to its pixels."""
    place = 2
    while len(head := _at(file, place, 4)) == 4 and head[0] == 0xFF and head[1] != 0xDA:
        size = max(int.from_bytes(head[2:]), 2)
        yield head[1], place + 4, size - 2
        place += 2 + size


def _nearest_quality(total: int) -> int:
    """The quality at which the standard's table has about this sum, as the IJG's library scales it."""

    def distance(quality: int) -> int:
        scale = 5000 // quality if quality < 50 else 200 - 2 * quality
        return abs(total - sum(min(max((value * scale + 50) // 100, 1), 255) for value in _LUMA_TABLE))

    return min(range(100, 0, -1), key=distance)


def _png(file: BinaryIO) -> Traits:
    place, traits, chunks = 8, Traits(), dict[bytes, bytes]()
    while len(head := _at(file, place, 8)) == 8 and head[4:] != b"IDAT":
        chunks[head[4:]] = _at(file, place + 8, 4)
        place += 12 + int.from_bytes(head[:4])
    notes: list[str] = []
    if b"acTL" in chunks:
        frames = int.from_bytes(chunks[b"acTL"])
        notes.append(f"the first of {frames} frames")
    if b"gAMA" in chunks and not chunks.keys() & {b"iCCP", b"sRGB", b"cICP"}:
        gamma = int.from_bytes(chunks[b"gAMA"])
        if abs(gamma - _STANDARD_GAMMA) > _STANDARD_GAMMA // 20:
            notes.append("its gamma is not that of sRGB and was left out")
    traits = traits._replace(notes=tuple(notes))
    return traits if b"iCCP" in chunks else _in_colours(traits, chunks.get(b"cICP", b"")[:2])


def _in_colours(traits: Traits, points: bytes) -> Traits:
    """Add what two code points of ITU-T H.273 say: those of the primaries and of the transfer."""
    if len(points) < 2:
        return traits
    primaries, transfer = points
    unknown = () if primaries in (_SRGB, _UNSAID, _P3) else ("its colours were taken for sRGB's",)
    return traits._replace(
        is_display_p3=primaries == _P3, hdr=_HDR_TRANSFERS.get(transfer), notes=traits.notes + unknown
    )


def _is_lossless_webp(file: BinaryIO) -> bool:
    place = 12
    while len(head := _at(file, place, 8)) == 8 and head[:4] not in (b"VP8 ", b"VP8L"):
        if head[:4] == b"ANMF":
            place += 24  # into the first frame
        else:
            (size,) = struct.unpack("<I", head[4:])
            place += 8 + size + size % 2
    return head[:4] == b"VP8L"


def _at(file: BinaryIO, place: int, size: int) -> bytes:
    """Bytes of a file from a place on; fewer where it ends."""
    file.seek(place)
    return file.read(size)
