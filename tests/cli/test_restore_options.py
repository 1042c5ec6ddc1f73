"""`dino-ir restore` with the options that say how results are written."""

import pytest
from PIL import Image

from dino_ir.arguments import read_depth, read_format
from dino_ir.files.images import MAX_PIXELS


def test_a_kind_a_quality_and_a_depth_may_be_asked_for(call, folder, weights):
    words = ("restore", "photos", "-o", "out", "--weights", weights)
    call(*words, "--format", "jpg", "--quality", 40)
    call(*words, "--format", "tif", "--depth", 16)

    assert sorted(path.name for path in (folder / "out").iterdir()) == ["a.jpg", "a.tif", "b.jpg", "b.tif"]
    with Image.open(folder / "out/a.jpg") as image:
        assert image.quantization[0][0] == 20  # 16 of the standard's table, scaled for 40
    with Image.open(folder / "out/a.tif") as image:
        assert image.tag_v2[258] == (16, 16, 16)


def test_what_could_not_be_kept_is_said(call, folder, weights):
    code, output = call("restore", "photos/a.png", "--weights", weights, "--format", "webp", "--depth", 16)

    assert code == 0
    assert "16 bits became 8 bits, as WebP holds no more" in output


def test_too_many_pixels_are_code_1(call, folder, weights):
    code, output = call("restore", "photos/a.png", "--weights", weights, "--max-pixels", "1e3")

    assert code == 1
    assert "40 x 33 pixels, more than --max-pixels 1000" in output


def test_the_most_pixels_are_those_of_the_library():
    from typer.main import get_command

    from dino_ir.cli import app

    (option,) = (each for each in get_command(app).commands["restore"].params if each.name == "max_pixels")

    assert option.default == MAX_PIXELS


def test_photos_are_mirrored_too_where_asked_for_and_a_manifest_knows_it(call, folder, weights):
    words = ("restore", "photos", "-o", "out", "--weights", weights, "--depth", 16, "--manifest", "m.jsonl")
    call(*words)
    plain = (folder / "out/a.png").read_bytes()

    code, output = call(*words, "--resume", "--mirror")
    again = call(*words, "--resume", "--mirror")

    assert code == 0
    assert output.splitlines()[-1] == "2 restored"
    assert "2 of 2 photos are done already" in again[1]
    assert (folder / "out/a.png").read_bytes() != plain


def test_a_folder_with_files_that_cannot_be_read_is_code_1_and_names_each(call, folder, weights):
    (folder / "photos/c.cr2").write_bytes(b"II*\0")

    code, output = call("restore", "photos", "--weights", weights)

    assert code == 1
    assert "photos/c.cr2 failed: photos/c.cr2 is a camera's raw file" in output
    assert output.splitlines()[-1] == "2 restored, 1 failed"


def test_formats_and_depths_are_read():
    assert [read_format(text) for text in ("jpg", "avif", "JPG")] == [".jpg", ".avif", ".jpg"]
    assert [read_format(text) for text in ("jpeg", "TIFF")] == [".jpg", ".tif"]
    assert [read_depth(text) for text in ("8", "16")] == [8, 16]


@pytest.mark.parametrize(
    "words",
    [
        ["--format", "gif"],
        ["--format", ".jpg"],
        ["--quality", "0"],
        ["--quality", "101"],
        ["--depth", "12"],
        ["--max-pixels", "0"],
        ["-o", ""],
        ["--compare", ""],
    ],
    ids=" ".join,
)
def test_a_wrong_option_is_code_2(call, words):
    code, output = call("restore", "a.png", *words)

    assert code == 2
    assert "Usage: dino-ir" in output


def test_a_file_of_another_kind_than_asked_for_is_code_2(call, folder, weights):
    code, output = call("restore", "photos/a.png", "-o", "b.png", "--format", "jpg", "--weights", weights)

    assert (code, output) == (2, "dino-ir: b.png is no JPEG; name it b.jpg\n")


def test_looks_are_written_beside_the_results(call, folder, weights):
    code, _ = call(
        *("restore", "photos", "-o", "out", "--weights", weights, "--memory", "2GB"),
        *("--report", "report.jsonl", "--compare", "pairs", "--html", "page.html"),
    )

    assert code == 0
    assert len((folder / "report.jsonl").read_text().splitlines()) == 2
    assert sorted(path.name for path in (folder / "pairs").iterdir()) == ["a.png.jpg", "b.png.jpg"]
    assert (folder / "page.html").read_text().count("<article>") == 2


@pytest.mark.parametrize("size", ["much", "-1GB", "2XB"])
def test_a_wrong_size_of_memory_is_wrong_usage(call, folder, weights, size):
    code, output = call("restore", "photos", "--weights", weights, "--memory", size)

    assert code == 2
    assert "such as 2GB" in output


@pytest.mark.parametrize("option", ["-o", "--compare"])
def test_a_url_is_no_place_to_write_to(call, folder, option):
    code, output = call("restore", "photos", option, "https://x/y")

    assert (code, "is a URL" in output) == (2, True)
    assert not list(folder.glob("https*"))


def test_a_photo_of_a_pairs_name_stays(call, folder, weights):
    photo = folder / "photos/a.png.jpg"
    photo.write_bytes(b"a photo")

    for more in ([], ["--overwrite"]):
        call("restore", "photos", "-o", "out", "--weights", weights, "--compare", "photos", *more)

        assert photo.read_bytes() == b"a photo"
