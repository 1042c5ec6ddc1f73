import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dino_ir.contracts import Restorer
from dino_ir.files.images import Photo, read_photo, write_photo
from dino_ir.photos import Options
from dino_ir.places import plan
from dino_ir.restoration import Result, is_waiting, restore_files, tally
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


def test_photos_wait_that_would_not_be_skipped(tmp_path):
    make(tmp_path, "a.png", "a_restored.png", "b.png")
    one, other = plan([tmp_path])

    assert [is_waiting(job) for job in (one, other)] == [False, True]
    assert is_waiting(one, overwrite=True)
    assert is_waiting(one._replace(replaces=True))
    assert is_waiting(one._replace(result=tmp_path / ("x" * 300)))


def test_each_photo_is_begun_without_sizes_of_those_before(tmp_path, monkeypatch):
    restorer, forgotten = Identity(), []
    monkeypatch.setattr(Identity, "forget", lambda self: forgotten.append(self))

    list(restore_files(restorer, plan(make(tmp_path, "a.png", "b.png"))))

    assert forgotten == [restorer, restorer]


def test_a_job_may_replace_its_own_result_and_no_other(tmp_path):
    make(tmp_path, "a.png", "a_restored.png", "b.png", "b_restored.png")
    one, other = plan([tmp_path])

    results = restore_files(Identity(), [one._replace(replaces=True), other])

    assert [result.status for result in results] == ["restored", "skipped"]


def test_once_stopped_no_photo_is_begun_and_those_begun_are_whole(tmp_path):
    photos = make(tmp_path, *(f"{number}.png" for number in range(9)))
    results = []

    for result in restore_files(Identity(), plan(photos, tmp_path / "out"), stop=lambda: len(results) >= 2):
        results.append(result)

    assert 2 <= len(results) < 9
    assert [result.photo for result in results] == photos[: len(results)]
    assert sorted((tmp_path / "out").iterdir()) == [result.result for result in results]


def test_an_interruption_leaves_no_trace_of_the_photo_at_hand(tmp_path):
    class Interrupted(Identity):
        def forward(self, degraded, view=None):
            if degraded.mean() == 0:
                raise KeyboardInterrupt
            return degraded

    make(tmp_path, "a.png", "b.png", "d.png")
    write_photo(tmp_path / "c.png", Photo(torch.zeros(3, 6, 5)))

    with pytest.raises(KeyboardInterrupt):
        list(restore_files(Interrupted(), plan([tmp_path], tmp_path / "out")))

    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "b.png"]


def test_the_work_is_in_the_seconds(tmp_path):
    class Slow(Identity):
        def forward(self, degraded, view=None):
            time.sleep(0.05)
            return degraded

    results = restore_files(Slow(), plan(make(tmp_path, "a.png", "b.png")))

    assert all(result.seconds >= 0.05 for result in results)


def test_originals_and_nothing_else_stay(tmp_path):
    (photo,) = make(tmp_path, "in/a.tif")
    before = photo.read_bytes()

    list(restore_files(Invert(), plan([photo], tmp_path / "out" / "deep")))

    assert photo.read_bytes() == before
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert files == ["in/a.tif", "out/deep/a.tif"]


def test_no_strength_copies_the_pixels(tmp_path):
    (photo,) = make(tmp_path, "a.png")

    (result,) = restore_files(Invert(), plan([photo]), Options(strength=0))

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


class Black(Restorer):
    """Breaks every photo, or only what is computed with less than full precision."""

    multiple_of = 1

    def __init__(self, recovers=False):
        super().__init__()
        self.recovers, self.calls = recovers, 0

    def forward(self, degraded, view=None):
        self.calls += 1
        return degraded if self.recovers and self.calls > 1 else degraded * 0


@pytest.mark.parametrize("limit", [4_000_000, 100])
def test_a_photo_whose_result_is_broken_is_kept_as_it_was(tmp_path, monkeypatch, limit):
    monkeypatch.setattr("dino_ir.photos.LARGE", limit)
    (photo,) = make(tmp_path, "a.png")
    write_photo(photo, Photo(torch.rand(3, 30, 20) / 2 + 0.3))

    (result,) = restore_files(Black(), plan([photo]), has_records=True)

    assert result.status == "kept"
    assert result.message.startswith("kept as it was: the result turned 100% of the photo black")
    assert torch.equal(read_photo(result.result).pixels, read_photo(photo).pixels)
    assert result.record is not None
    assert result.record["change"]["psnr"] is None


def test_a_result_that_can_be_trusted_the_second_time_is_written(tmp_path):
    (photo,) = make(tmp_path, "a.png")
    write_photo(photo, Photo(torch.rand(3, 30, 20) / 2 + 0.3))

    (result,) = restore_files(Black(recovers=True), plan([photo]))

    assert result.status == "restored"
    assert "made again in full precision" in result.message


def test_unchecked_whatever_the_restorer_gives_is_written(tmp_path):
    (photo,) = make(tmp_path, "a.png")

    (result,) = restore_files(Black(), plan([photo]), Options(is_checked=False))

    assert result.status == "restored"
    assert read_photo(result.result).pixels.max() == 0
