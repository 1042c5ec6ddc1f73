"""`dino-ir restore`, as a user types it."""

import re

import pytest
import torch

from dino_ir.files.images import Photo, read_photo, read_rgb, write_photo


def test_the_result_lies_beside_the_photo(call, folder, weights):
    code, output = call("restore", "photos/a.png", "--weights", weights)

    assert code == 0
    assert re.fullmatch(r"photos/a.png -> photos/a_restored.png \([\d.]+ s\)\n", output)
    assert read_rgb(folder / "photos/a_restored.png").shape == (3, 33, 40)


def test_several_photos_are_counted_in_the_end(call, folder, weights):
    call("restore", "photos/b.png", "--weights", weights)
    (folder / "photos/broken.png").write_bytes((folder / "photos/a.png").read_bytes()[:90])

    code, output = call("restore", "photos/broken.png", "photos", "--weights", weights)

    assert code == 1
    assert output.splitlines()[0].startswith("photos/broken.png failed: ")
    assert "photos/b.png skipped: photos/b_restored.png exists" in output
    assert output.splitlines()[-1] == "1 restored, 1 skipped, 1 failed"


def test_out_is_a_file_or_a_folder(call, folder, weights):
    call("restore", "photos/a.png", "-o", "one.jpg", "--weights", weights)
    call("restore", "photos", "-o", "all", "--weights", weights)

    assert (folder / "one.jpg").is_file()
    assert sorted(path.name for path in (folder / "all").iterdir()) == ["a.png", "b.png"]


def test_a_result_is_replaced_only_if_one_says_so(call, folder, weights):
    write_photo(folder / "old.png", Photo(torch.zeros(3, 2, 2)))

    code, output = call("restore", "photos/a.png", "-o", "old.png", "--weights", weights)

    assert (code, output) == (0, "photos/a.png skipped: old.png exists\n")
    assert read_rgb(folder / "old.png").shape == (3, 2, 2)
    call("restore", "photos/a.png", "-o", "old.png", "--weights", weights, "--overwrite")
    assert read_rgb(folder / "old.png").shape == (3, 33, 40)


def test_strength_0_gives_the_very_pixels_and_1_does_not(call, folder, weights):
    for strength in (0, 1):
        call("restore", "photos/a.png", "-o", f"{strength}.png", "--weights", weights, "--strength", strength)

    original = read_photo(folder / "photos/a.png").pixels
    assert torch.equal(read_photo(folder / "0.png").pixels, original)
    assert not torch.equal(read_photo(folder / "1.png").pixels, original)


def test_tiles_change_little(call, folder, weights):
    for tile in ("off", "24"):
        call("restore", "photos/a.png", "-o", f"{tile}.png", "--weights", weights, "--tile", tile)

    whole, tiled = (read_photo(folder / f"{tile}.png").pixels for tile in ("off", "24"))
    assert whole.shape == tiled.shape
    assert (whole - tiled).abs().mean() < 0.05


@pytest.mark.parametrize(
    ("name", "content"),
    [("absent.png", None), ("text.png", b"Dear diary"), ("empty.jpg", b"")],
)
def test_a_photo_that_cannot_be_read_has_its_line_and_code_1(call, folder, weights, name, content):
    if content is not None:
        (folder / name).write_bytes(content)

    code, output = call("restore", name, "--weights", weights)

    assert code == 1
    assert output.startswith(f"{name} failed: ")
    assert len(output.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["photos", "-o", "one.png"], "name a folder instead"),
        (["photos/a.png", "photos/a.png", "-o", "photos"], "would replace the photo"),
        (["empty"], "holds no photos"),
        ([""], "a path is empty"),
        (["photos/a.png", "--weights", "absent"], "no weights 'absent'"),
        (["photos/a.png", "--weights", "photos/b.png"], "cannot be read as a weight file"),
        (["photos/a.png", "--device", "abacus"], "no device 'abacus'"),
    ],
)
def test_a_wrong_restore_is_one_sentence_and_code_2(call, folder, weights, words, said):
    (folder / "empty").mkdir()
    if "--weights" not in words:
        words = [*words, "--weights", weights]

    code, output = call("restore", *words)

    assert code == 2
    assert re.fullmatch(rf"dino-ir: .*{re.escape(said)}.*\n", output)
    assert not list(folder.rglob("*_restored*"))


def test_a_name_that_is_too_long_does_not_stop_the_rest(call, folder, weights):
    code, output = call("restore", f"{'a' * 300}.png", "photos/a.png", "--weights", weights)

    assert code == 1
    assert "cannot be read: File name too long" in output
    assert output.splitlines()[-1] == "1 restored, 1 failed"
