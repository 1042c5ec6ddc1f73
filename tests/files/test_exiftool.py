"""A photo as phones take them, before and after, by exiftool: whatever differs is named here."""

import json
import shutil
import subprocess

import pytest
from PIL import Image
from skimage import data

from dino_ir.formats.vips import profile_of_display_p3
from dino_ir.places import Job
from dino_ir.restoration import restore_files
from dino_ir.restorers.identity import Identity

pytestmark = pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")

TAGS = {
    "IFD0:Orientation#": 6,
    "IFD0:Make": "A maker",
    "IFD0:XResolution": 300,
    "IFD0:YResolution": 300,
    "IFD0:ResolutionUnit#": 2,
    "ExifIFD:DateTimeOriginal": "2024:05:06 07:08:09",
    "ExifIFD:ExposureTime": "1/125",
    "ExifIFD:LensModel": "A lens, 35 mm",
    "ExifIFD:ExifImageWidth": 512,
    "GPS:GPSLatitude": 48.209583,
    "GPS:GPSLatitudeRef": "N",
    "XMP-dc:Title": "Ein Füchslein",
    "XMP-tiff:Orientation#": 6,
    "IPTC:Caption-Abstract": "A caption",
    "IPTC:Keywords": "night",
}
OF_THE_FILE = ("ExifTool", "System", "SourceFile")
TURNED = {"IFD0:Orientation", "XMP-tiff:Orientation", "ExifIFD:ExifImageWidth", "Composite:ImageSize"}
CODING = {
    ".jpg": {f"JFIF:{tag}" for tag in ("JFIFVersion", "ResolutionUnit", "XResolution", "YResolution")}
    | {"File:ImageWidth", "File:ImageHeight"},
    ".tif": {f"IFD0:Strip{tag}" for tag in ("Offsets", "ByteCounts")}
    | {f"IFD0:{tag}" for tag in ("ImageWidth", "ImageHeight", "Compression", "Predictor", "RowsPerStrip")}
    | {"IFD0:SampleFormat"},
}
"""What follows from how a file is written; a JPEG's own resolution becomes that of its EXIF."""


def tags_of(path):
    words = ["exiftool", "-json", "-G1", "-a", "-struct", str(path)]
    (told,) = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    return {name: value for name, value in told.items() if name.split(":")[0] not in OF_THE_FILE}


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_a_display_p3_photo_held_upright_differs_in_its_turn_and_size_alone(tmp_path, suffix):
    photo, result = tmp_path / f"photo{suffix}", tmp_path / f"result{suffix}"
    astronaut = Image.fromarray(data.astronaut()[:384])
    astronaut.save(
        photo, icc_profile=profile_of_display_p3(), **({"quality": 92} if suffix == ".jpg" else {})
    )
    written = [f"-{name}={value}" for name, value in TAGS.items()]
    subprocess.run(["exiftool", "-q", "-overwrite_original", *written, str(photo)], check=True)

    (row,) = restore_files(Identity(), [Job(photo, result)])

    before, after = tags_of(photo), tags_of(result)
    assert row.status == "restored", row
    differs = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert TURNED <= differs <= TURNED | CODING[suffix]
    assert before["IFD0:Orientation"] == before["XMP-tiff:Orientation"] == "Rotate 90 CW"
    assert after["IFD0:Orientation"] == after["XMP-tiff:Orientation"] == "Horizontal (normal)"
    assert (before["Composite:ImageSize"], after["Composite:ImageSize"]) == ("512x384", "384x512")
    assert after["ICC_Profile:ProfileDescription"] == before["ICC_Profile:ProfileDescription"]
    assert after["IPTC:Caption-Abstract"] == "A caption"
