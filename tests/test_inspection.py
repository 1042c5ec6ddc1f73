import pytest
import torch

from dino_ir import degradations
from dino_ir.benchmark import Benchmark
from dino_ir.catalog import build, names
from dino_ir.contracts import Pair
from dino_ir.errors import DataError, ImageError, RecipeError
from dino_ir.feed import Source
from dino_ir.files.images import Photo, read_rgb, write_photo
from dino_ir.inspection import (
    inspect_benchmarks,
    inspect_sources,
    read_degradations,
    write_degraded_sheets,
    write_feed_sheet,
)
from dino_ir.recipe import Recipe

DATA = [{"dataset": {"name": "clean_folder", "root": "photos"}}]
NOISE = build("degradations", {"name": "gaussian_noise", "sigma": 25})


class Pictures(list):
    """Pairs, of which one may be an error to raise."""

    def __getitem__(self, index):
        pair = super().__getitem__(index)
        if isinstance(pair, Exception):
            raise pair
        return pair


def pair(name, height, width):
    return Pair(name, torch.full((3, height, width), 0.5))


def make_recipe(**phase):
    return Recipe.parse(
        {"restorer": {"name": "identity"}, "phase": [{"steps": 2, **phase}], "data": DATA}, "test"
    )


def test_degradations_are_named_or_written_as_tables():
    found = read_degradations(["haze", '{name="gaussian_noise", sigma=15}'])

    assert list(found) == ["haze", '{name="gaussian_noise", sigma=15}']
    assert found['{name="gaussian_noise", sigma=15}'] == build(
        "degradations", {"name": "gaussian_noise", "sigma": 15}
    )


def test_all_degradations_that_are_not_made_of_others_are_the_default():
    assert list(read_degradations(None)) == sorted(set(names("degradations")) - {"chain", "choice"})


def test_a_new_degradation_that_needs_options_is_no_default(tmp_path, monkeypatch):
    (tmp_path / "snow.py").write_text(
        '__all__ = ["Snow"]\nclass Snow:\n    def __init__(self, flakes): pass\n'
    )
    monkeypatch.setattr(degradations, "__path__", [*degradations.__path__, str(tmp_path)])

    assert "snow" in names("degradations")
    assert "snow" not in read_degradations(None)


@pytest.mark.parametrize("text", ["hase", "{name=", '{name="haze", betta=1}', "{sigma=3}"])
def test_a_degradation_that_is_none_is_refused(text):
    with pytest.raises(RecipeError):
        read_degradations([text])


def test_pictures_that_cannot_be_read_or_cropped_are_named():
    pictures = Pictures([pair("fine", 32, 40), ImageError("a.png is broken"), pair("flat", 31, 99)])

    (finding,) = inspect_sources([Source(pictures, NOISE)], make_recipe(crop=32))

    assert finding.name == str(pictures)
    assert finding.readable == 1
    assert finding.problems == ["a.png is broken", "flat is 99x31, too small to cut 32x32 from"]


def test_photos_that_are_clean_and_stay_so_are_refused():
    source = Source(Pictures([ImageError("a.png is broken"), pair("fine", 32, 40)]))

    with pytest.raises(DataError, match="has clean photos only"):
        list(inspect_sources([source], make_recipe(crop=32)))


def test_pictures_of_benchmarks_that_cannot_be_read_are_named():
    pictures = Pictures([pair("fine", 32, 40), ImageError("a.png is broken"), ImageError("beyond the limit")])

    (finding,) = inspect_benchmarks({"toy": (Benchmark("Toy", "denoise", pictures, NOISE), 2)})

    assert finding == ("Toy", 1, ["a.png is broken"], "")


def test_a_zoom_asks_for_its_smallest_side_only():
    source = Source(Pictures([pair("small", 24, 24)]), NOISE)

    (finding,) = inspect_sources([source], make_recipe(crop=32, zoom=[24, 48]))

    assert finding.problems == []


def test_the_feed_is_shown_degraded_beside_clean(tmp_path):
    sources = [Source(Pictures([pair("grey", 60, 60)]), NOISE)]

    write_feed_sheet(sources, make_recipe(crop=32, crops=2), tmp_path / "new/feed.png", rows=3)

    sheet = read_rgb(tmp_path / "new/feed.png")
    assert sheet.shape[1] >= 3 * 32
    assert sheet.shape[2] >= 4 * 32


def test_a_sheet_shows_the_middle_of_a_photo_and_tells_of_failures(tmp_path):
    write_photo(tmp_path / "wide.png", Photo(torch.rand(3, 30, 500)))

    done, failed = write_degraded_sheets(
        [tmp_path / "wide.png", tmp_path / "absent.png"], {"noise": NOISE}, tmp_path / "sheets", columns=2
    )

    assert (done.status, failed.status) == ("degraded", "failed")
    assert "absent.png" in failed.message
    assert read_rgb(tmp_path / "sheets/wide.png").shape[2] >= 3 * 480


def test_the_same_seed_gives_the_same_sheet(tmp_path):
    write_photo(tmp_path / "a.png", Photo(torch.rand(3, 30, 30)))

    for folder, seed in (("one", 1), ("again", 1), ("other", 2)):
        list(write_degraded_sheets([tmp_path / "a.png"], {"": NOISE}, tmp_path / folder, seed=seed))

    one, again, other = (read_rgb(tmp_path / folder / "a.png") for folder in ("one", "again", "other"))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_published_set_that_is_not_whole_is_noted():
    class Published(Pictures):
        expected, found = 12_000, 2

    sources = [Source(Published([pair("a", 20, 20)]), NOISE), Source(Pictures([pair("b", 20, 20)]), NOISE)]

    notes = [finding.note for finding in inspect_sources(sources, make_recipe(crop=8))]

    assert notes == ["; 2 are there of 12000 published", ""]
