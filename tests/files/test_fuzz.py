"""Thousands of damaged files: each is restored or fails with a line; nothing crashes, hangs or is left."""

import io
import json
import random
import resource
import struct
import subprocess
import sys
import time

import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image

from dino_ir import photos
from dino_ir.formats.vips import profile_of_display_p3
from dino_ir.photos import Options
from dino_ir.places import Job
from dino_ir.restoration import restore_files
from dino_ir.restorers.identity import Identity

EACH = 150
KINDS = (".png", ".tif", ".jpg", ".webp", ".avif")
SMALL = 100  # pixels; larger photos are then restored in pieces, as those of many megapixels are
MOST_SECONDS = 10  # for one file; the slowest takes about one
MOST_MEGABYTES = 1500
COLOURS = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def some_exif():
    tags = Image.Exif()
    tags[0x010F], tags[0x0112], tags[0x011A], tags[0x011B] = "A maker", 6, 300.0, 300.0
    tags.get_ifd(0x8769)[0x927C] = bytes(range(100))
    tags.get_ifd(0x8825)[2] = (48.0, 12.0, 34.5)
    return tags


def by_pillow(kind, mode="RGB", **options):
    file = io.BytesIO()
    Image.fromarray(COLOURS).convert(mode).save(file, kind, **options)
    return file.getvalue()


def by_tifffile(array, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


def described(jpeg):
    """With XMP and IPTC, and a second segment of each."""
    contents = [
        (0xE1, b'http://ns.adobe.com/xap/1.0/\0<a tiff:Orientation="6" GCamera:MotionPhoto="1"/>'),
        (0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(60)),
        *[(0xED, b"Photoshop 3.0\x008BIM\4\4\0\0\0\0\0\x0c\x1c\x02\x78\0\x07Caption")] * 2,
    ]
    segments = [struct.pack(">BBH", 0xFF, mark, 2 + len(content)) + content for mark, content in contents]
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def seeds():
    """Small files of every kind that is read, by what they are called."""
    everything = {"icc_profile": profile_of_display_p3(), "exif": some_exif()}
    frames = {"save_all": True, "append_images": [Image.fromarray(COLOURS[::-1])]}
    light = pyvips.Image.new_from_array(COLOURS.astype(np.float32) / 64, interpretation="scrgb")
    deep = pyvips.Image.new_from_array(COLOURS.astype(np.uint16) * 257, interpretation="rgb16")
    return {
        "plain.jpg": by_pillow("jpeg", **everything),
        "progressive.jpg": by_pillow("jpeg", progressive=True, **everything),
        "cmyk.jpg": by_pillow("jpeg", "CMYK"),
        "gain.jpg": described(light.uhdrsave_buffer()),
        "plain.png": by_pillow("png", **everything),
        "palette.png": by_pillow("png", "P"),
        "deep.png": deep.pngsave_buffer(),
        "moving.png": by_pillow("png", **frames),
        "plain.webp": by_pillow("webp", **everything),
        "lossless.webp": by_pillow("webp", "RGBA", lossless=True, **everything),
        "moving.webp": by_pillow("webp", **frames),
        "plain.avif": by_pillow("avif", **everything),
        "deep.avif": deep.heifsave_buffer(compression="av1", bitdepth=12),
        "plain.tif": by_pillow("tiff", **everything),
        "packed.tif": by_pillow("tiff", compression="tiff_adobe_deflate"),
        "floats.tif": by_tifffile(COLOURS.astype(np.float32) / 255, photometric="rgb"),
        "tiles.tif": by_tifffile(COLOURS, photometric="rgb", tile=(16, 16), byteorder=">"),
        "palette.tif": by_pillow("tiff", "P"),
        "palette.gif": by_pillow("gif"),
        "moving.gif": by_pillow("gif", **frames),
    }


def damaged(content, rng):
    """Bytes changed anywhere, bytes changed in the header, an end cut off, or a part moved."""
    changed = bytearray(content)
    way = rng.randrange(4)
    if way == 0:
        for _ in range(rng.choice((1, 2, 5, 20))):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    elif way == 1:
        for _ in range(rng.choice((1, 2, 4))):
            value = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            changed[rng.randrange(min(len(changed), 200))] = value
    elif way == 2:
        del changed[rng.randrange(len(changed)) :]
    else:
        start, source = rng.randrange(len(changed)), rng.randrange(len(changed))
        changed[start : start + rng.randrange(40)] = changed[source : source + rng.randrange(40)]
    return bytes(changed)


def restore_damaged(folder, each, large):
    """Count what became of each kind; whatever breaks a promise is raised with the file's name."""
    photos.LARGE = large
    counts = {}
    for name, content in seeds().items():
        rng = random.Random(name)
        for number in range(each):
            photo = folder / f"{number}_{name}"
            result = folder / f"result{KINDS[number % len(KINDS)]}"
            photo.write_bytes(damaged(content, rng))
            started = time.perf_counter()
            (row,) = restore_files(Identity(), [Job(photo, result)], options=Options(max_pixels=1e6))
            assert time.perf_counter() - started < MOST_SECONDS, photo
            assert row.status in ("restored", "failed"), row
            assert str(row).isprintable(), row
            assert row.message or row.status == "restored", row
            assert result.exists() == (row.status == "restored"), row
            result.unlink(missing_ok=True)
            photo.unlink()
            counts[name, row.status] = counts.get((name, row.status), 0) + 1
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"counts": [[*key, count] for key, count in counts.items()], "megabytes": megabytes}


@pytest.mark.slow
@pytest.mark.parametrize("large", [photos.LARGE, SMALL], ids=["whole", "pieces"])
def test_damaged_files_are_restored_or_fail_with_a_line(tmp_path, record_property, large):
    code = (
        "import importlib.util, json, pathlib, sys\n"
        "spec = importlib.util.spec_from_file_location('fuzz', sys.argv[1])\n"
        "fuzz = importlib.util.module_from_spec(spec); spec.loader.exec_module(fuzz)\n"
        "folder, each, large = pathlib.Path(sys.argv[2]), *map(int, sys.argv[3:])\n"
        "sys.stdout.write(json.dumps(fuzz.restore_damaged(folder, each, large)))\n"
    )
    words = [sys.executable, "-c", code, __file__, str(tmp_path), str(EACH), str(large)]

    done = subprocess.run(words, capture_output=True, text=True, timeout=900)

    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    record_property("counts", told["counts"])
    assert sum(count for _name, _status, count in told["counts"]) == EACH * len(seeds())
    assert {status for _name, status, _count in told["counts"]} == {"restored", "failed"}
    assert told["megabytes"] < MOST_MEGABYTES
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("large", [photos.LARGE, SMALL], ids=["whole", "pieces"])
@pytest.mark.parametrize("name", seeds())
def test_undamaged_they_are_restored(tmp_path, monkeypatch, name, large):
    monkeypatch.setattr(photos, "LARGE", large)
    (tmp_path / name).write_bytes(seeds()[name])

    (row,) = restore_files(Identity(), [Job(tmp_path / name, tmp_path / "result.png")])

    assert row.status == "restored", row
