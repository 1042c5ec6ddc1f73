from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dino_ir.contracts import Restorer
from dino_ir.errors import DataError
from dino_ir.files.images import Photo, read_photo, write_photo
from dino_ir.photos import Job, Result, plan, restore_files, tally
from dino_ir.restorers.identity import Identity


class Invert(Restorer):
    multiple_of = 2

    def forward(self, degraded, view=None):
        return 1 - degraded


class Greedy(Restorer):
    multiple_of = 1

    def forward(self, degraded, view=None):
        return torch.empty(2**60)


class Faulty(Restorer):
    multiple_of = 1

    def forward(self, degraded, view=None):
        return degraded.expand(2, *degraded.shape[1:]).add_(1)  # both share their memory: torch says so


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_photo(folder / name, Photo(torch.rand(3, 6, 5)))
    return [folder / name for name in names]


def results(jobs, folder):
    return [job.result.relative_to(folder).as_posix() for job in jobs]


def test_without_out_results_lie_beside_their_photos(tmp_path):
    paths = make(tmp_path, "a.jpg", "below/b.PNG")

    jobs = plan(paths)

    assert results(jobs, tmp_path) == ["a_restored.jpg", "below/b_restored.PNG"]


def test_out_is_a_file_for_one_photo(tmp_path):
    (photo,) = make(tmp_path, "a.jpg")

    jobs = plan([photo], tmp_path / "b.png")

    assert jobs == [Job(photo, tmp_path / "b.png")]


@pytest.mark.parametrize("out", ["out", "out.d"])
def test_out_is_a_folder_that_keeps_names_and_trees(tmp_path, out):
    make(tmp_path, "in/a.jpg", "in/below/b.tif", "c.webp")

    jobs = plan([tmp_path / "in", tmp_path / "c.webp"], tmp_path / out)

    assert results(jobs, tmp_path / out) == ["a.jpg", "below/b.tif", "c.webp"]


def test_kinds_that_cannot_be_written_become_png(tmp_path):
    jobs = plan([tmp_path / "a.gif", tmp_path / "b.heic"])

    assert results(jobs, tmp_path) == ["a_restored.png", "b.heic_restored.png"]


def test_results_are_not_restored_again(tmp_path):
    make(tmp_path, "a.jpg", "a_restored.jpg")

    beside, elsewhere = plan([tmp_path]), plan([tmp_path], tmp_path.with_name("elsewhere"))

    assert [job.photo.name for job in beside] == ["a.jpg"]
    assert [job.photo.name for job in elsewhere] == ["a.jpg", "a_restored.jpg"]


def test_a_command_may_be_given_again(tmp_path):
    paths = make(tmp_path, "a.jpg", "b.tif")
    list(restore_files(Identity(), plan(paths)))

    rows = list(restore_files(Identity(), plan(sorted(tmp_path.iterdir()))))

    assert [(row.photo, row.status) for row in rows] == [(path, "skipped") for path in paths]


def test_a_result_named_without_its_photo_is_a_photo(tmp_path):
    (path,) = make(tmp_path, "a_restored.jpg")

    assert plan([path]) == [Job(path, tmp_path / "a_restored_restored.jpg")]


def test_a_link_in_the_results_place_does_not_hide_the_photo(tmp_path):
    (photo,) = make(tmp_path, "a.png")
    (tmp_path / "a_restored.png").symlink_to(photo)

    with pytest.raises(DataError, match="would replace"):
        plan([photo])


def test_a_folder_may_have_the_name_of_an_image(tmp_path):
    (photo,) = make(tmp_path, "a.png")
    (tmp_path / "all.bmp").mkdir()

    assert plan([photo], tmp_path / "all.bmp") == [Job(photo, tmp_path / "all.bmp" / "a.png")]


def test_results_in_a_folder_below_are_no_photos(tmp_path):
    make(tmp_path, "a.jpg", "out/a.jpg")

    jobs = plan([tmp_path], tmp_path / "out")

    assert jobs == [Job(tmp_path / "a.jpg", tmp_path / "out" / "a.jpg")]


def test_a_photo_named_twice_is_restored_once(tmp_path):
    (photo,) = make(tmp_path, "a.jpg")

    assert plan([photo, tmp_path, photo]) == [Job(photo, tmp_path / "a_restored.jpg")]


@pytest.mark.parametrize(
    ("paths", "out", "message"),
    [
        (["x/a.png", "y/a.png"], "out", r"would both become .*a\.png"),
        (["x/a.png"], "x", r"would replace .*a\.png"),
        (["x/a.png"], "x/a.png", r"would replace .*a\.png"),
        (["x"], "x", r"would replace .*a\.png"),
        (["x/a.png", "y/a.png"], "out.png", "is one file"),
        (["x"], "out.png", "is one file"),
        (["x/a.png"], "out.BMP", r"cannot write .*out\.BMP; .* end in one of: .*\.webp$"),
        (["x"], "out.heic", "cannot write"),
        (["empty"], None, r"empty holds no photos \(.*\.png"),
    ],
)
def test_what_would_go_wrong_is_refused_before_work(tmp_path, paths, out, message):
    make(tmp_path, "x/a.png", "y/a.png")
    (tmp_path / "empty").mkdir()

    with pytest.raises(DataError, match=message):
        plan([tmp_path / path for path in paths], None if out is None else tmp_path / out)


def test_a_link_to_the_photo_is_the_photo(tmp_path):
    (photo,) = make(tmp_path, "a.png")
    (tmp_path / "link.png").symlink_to(photo)

    with pytest.raises(DataError, match="would replace"):
        plan([photo], tmp_path / "link.png")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("has_alpha", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_depth_grey_and_alpha_are_kept(tmp_path, bits, has_alpha, channels):
    top = 2**bits - 1
    values = torch.randint(1, top + 1, (channels + has_alpha, 7, 4)).float() / top
    alpha = values[channels:] if has_alpha else None
    write_photo(tmp_path / "a.png", Photo(values[:channels], bits, alpha))

    (result,) = restore_files(Invert(), plan([tmp_path / "a.png"]))

    restored = read_photo(result.result)
    assert (result.status, restored.bits) == ("restored", bits)
    torch.testing.assert_close(restored.pixels, 1 - values[:channels], atol=0.1 / top, rtol=0)
    assert alpha is None or torch.equal(restored.alpha, alpha)


def test_metadata_are_kept_and_the_result_is_upright(tmp_path):
    tags = Image.Exif()
    tags[0x010F], tags[0x0112] = "A maker", 6
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=tags)

    (result,) = restore_files(Identity(), plan([tmp_path / "a.png"]))

    with Image.open(result.result) as restored:
        assert (restored.getexif()[0x010F], restored.getexif().get(0x0112, 1)) == ("A maker", 1)
        assert np.array_equal(np.asarray(restored), np.rot90(pixels, -1))


def test_one_that_fails_does_not_stop_the_rest(tmp_path):
    make(tmp_path, "a.png", "c.png")
    (tmp_path / "b.png").write_text("no picture")

    rows = list(restore_files(Identity(), plan([tmp_path, tmp_path / "missing.png"])))

    assert [row.status for row in rows] == ["restored", "failed", "restored", "failed"]
    assert str(rows[1]) == f"{rows[1].photo} failed: {rows[1].photo} is not an image that can be read"
    assert sorted(path.name for path in tmp_path.iterdir() if "_restored" in path.name) == [
        "a_restored.png",
        "c_restored.png",
    ]


def test_what_exists_is_skipped_unless_told(tmp_path):
    make(tmp_path, "a.png", "a_restored.png")
    before = (tmp_path / "a_restored.png").read_bytes()

    (skipped,) = restore_files(Invert(), plan([tmp_path]))
    unchanged = (tmp_path / "a_restored.png").read_bytes() == before
    (restored,) = restore_files(Invert(), plan([tmp_path]), overwrite=True)

    assert unchanged
    assert str(skipped) == f"{tmp_path / 'a.png'} skipped: {tmp_path / 'a_restored.png'} exists"
    assert (skipped.status, restored.status) == ("skipped", "restored")
    assert (tmp_path / "a_restored.png").read_bytes() != before


def test_originals_and_nothing_else_stay(tmp_path):
    (photo,) = make(tmp_path, "in/a.tif")
    before = photo.read_bytes()

    list(restore_files(Invert(), plan([photo], tmp_path / "out" / "deep")))

    assert photo.read_bytes() == before
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert files == ["in/a.tif", "out/deep/a.tif"]


def test_no_strength_copies_the_pixels(tmp_path):
    (photo,) = make(tmp_path, "a.png")

    (result,) = restore_files(Invert(), plan([photo]), strength=0)

    assert torch.equal(read_photo(result.result).pixels, read_photo(photo).pixels)


def test_lack_of_memory_is_said_with_advice(tmp_path):
    (result,) = restore_files(Greedy(), plan(make(tmp_path, "a.png")))

    assert result.status == "failed"
    assert "--tile" in result.message


def test_our_own_mistakes_are_not_hidden(tmp_path):
    with pytest.raises(RuntimeError, match="single memory location"):
        list(restore_files(Faulty(), plan(make(tmp_path, "a.png"))))


def test_a_file_in_the_folders_place_fails_with_its_name(tmp_path):
    (photo,) = make(tmp_path, "a.png")
    (tmp_path / "out").write_text("a file")

    (result,) = restore_files(Identity(), plan([photo], tmp_path / "out"))

    assert (result.status, Path(result.result)) == ("failed", tmp_path / "out" / "a.png")
    assert "out" in result.message


def test_the_tally_counts_what_became_of_photos():
    statuses = ["failed", "restored", "restored", "skipped", "restored"]

    results = [Result(Path("a.png"), Path("b.png"), status) for status in statuses]

    assert tally(results) == "3 restored, 1 skipped, 1 failed"
    assert tally(results[1:3]) == "2 restored"
