import math
import re
from dataclasses import replace

import pytest
import torch

from dino_ir.errors import DataError
from dino_ir.evaluation import Row
from dino_ir.gallery import open_gallery
from dino_ir.page import make_preview
from dino_ir.scoring import Shot

PICTURES = tuple(make_preview(torch.full((3, 20, 30), value)) for value in (0.2, 0.5, 0.8))


def row(image, psnr, before, **changes):
    scores, inputs = {"psnr": psnr, "ssim": 0.91234}, {"psnr": before, "ssim": 0.5}
    return replace(Row(image, scores, inputs, 1.0), **changes)


@pytest.fixture
def page(tmp_path):
    return tmp_path / "page.html"


def show(page, *rows):
    with open_gallery(page, "Scores of mine") as add:
        for each in rows:
            add("Rain (rain)", each, Shot(each, PICTURES))
    return page.read_text()


def names(text):
    return re.findall(r"<h2>(.*?)</h2>", text)


def test_the_least_gain_comes_first_then_by_psnr_what_has_none_and_no_number_last(page):
    text = show(
        page,
        row("nan", math.nan, 20.0),
        row("same", math.inf, math.inf),
        row("undamaged", 45.0, math.inf),
        row("good", 30.0, 20.0),
        row("bad", 40.0, 39.0),
        row("spoilt", 33.0, 35.0),
        row("perfect", math.inf, 20.0),
    )

    assert names(text) == ["spoilt", "bad", "good", "undamaged", "same", "perfect", "nan"]
    assert "worst first by gain in PSNR over the input, then by PSNR where the input has no" in text


def test_a_photo_tells_its_benchmark_its_scores_and_what_they_gained(page):
    text = show(page, row("a", 30.0, 20.5), row("b", math.inf, math.inf, is_told=True))

    assert "<title>Scores of mine</title>" in text
    assert "<p>Rain (rain)</p><p>PSNR 20.50 → 30.00 (+9.50); SSIM 0.5000 → 0.9123 (+0.4123)</p>" in text
    assert "<p>PSNR inf → inf; SSIM 0.5000 → 0.9123 (+0.4123); restorer told</p>" in text
    assert text.count('alt="clean"') == 2


@pytest.mark.parametrize(("now", "is_said"), [(30.0004, False), (30.02, True), (math.inf, True)])
def test_a_picture_that_scores_otherwise_than_its_row_is_said_to(page, now, is_said):
    kept = row("a", 30.0, 20.0)

    with open_gallery(page, "Scores") as add:
        add("Rain", kept, Shot(row("a", now, 20.0), PICTURES))

    assert ("scored by an earlier run: what is shown has a PSNR of" in page.read_text()) == is_said
    assert "PSNR 20.00 → 30.00" in page.read_text()


def test_without_psnr_the_order_stays(page):
    scores = [Row(name, {"ssim": 0.5}, {"ssim": 0.25}, 1.0) for name in "ba"]

    text = show(page, *scores)

    assert names(text) == ["b", "a"]
    assert "worst" not in text


def test_a_wrong_place_is_said_before_anything_is_scored(tmp_path):
    with pytest.raises(DataError, match="does not end in"), open_gallery(tmp_path / "a.png", "Scores"):
        pytest.fail("begun")
