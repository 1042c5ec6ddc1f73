import base64
import json
import os
import re
import shutil
import subprocess
from html import unescape

import numpy as np
import pytest
import pyvips
import torch

from dino_ir.errors import DataError
from dino_ir.files.images import Photo, write_photo
from dino_ir.files.previews import read_preview
from dino_ir.formats import vips
from dino_ir.page import Entry, check_place, make_preview, open_page, write_page

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
in_a_browser = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here to open the page with"),
]
COLOURS = {"degraded": (0.8, 0.2, 0.2), "restored": (0.2, 0.6, 0.2), "clean": (0.2, 0.2, 0.8)}


def flat(colour, height=40, width=60):
    return torch.tensor(colour)[:, None, None].expand(3, height, width)


def entry(name="one", score=None, **changes):
    return Entry(name, *(flat(colour) for colour in COLOURS.values()), score=score)._replace(**changes)


def names(page):
    return [unescape(name) for name in re.findall(r"<h2>(.*?)</h2>", page.read_text(), flags=re.DOTALL)]


def pictures(page):
    """Every picture in the page, decoded, [H, W, 3]."""
    found = re.findall(r'alt="(\w+)" data-src="data:image/jpeg;base64,([^"]+)"', page.read_text())
    return [
        (what, pyvips.Image.new_from_buffer(base64.b64decode(data), "").numpy().astype(int))
        for what, data in found
    ]


@pytest.fixture
def page(tmp_path):
    return tmp_path / "page.html"


def test_the_lowest_score_comes_first_and_those_without_one_last_as_they_came(page):
    scores = {"good": 30.0, "unknown": None, "bad": 12.5, "below zero": -3.0, "another": None}

    write_page(page, "Photos", (entry(name, score) for name, score in scores.items()))

    assert names(page) == ["below zero", "bad", "good", "unknown", "another"]
    assert "5 photos, worst first" in page.read_text()


def test_without_scores_the_order_stays(page):
    write_page(page, "Photos", [entry("b"), entry("a"), entry("c")])

    assert names(page) == ["b", "a", "c"]
    assert "worst" not in page.read_text()


def test_the_pictures_are_those_that_were_given(page):
    write_page(page, "Photos", [entry()])

    for what, pixels in pictures(page):
        assert pixels.shape == (40, 60, 3)
        np.testing.assert_allclose(
            pixels, np.broadcast_to(np.array(COLOURS[what]) * 255, (40, 60, 3)), atol=2
        )
    assert [what for what, _ in pictures(page)] == list(COLOURS)


def test_large_pictures_are_shrunk_and_small_ones_stay(page):
    large = [flat((0.5, 0.5, 0.5), 50, 200)] * 2

    write_page(page, "Photos", [Entry("large", *large), entry("small")], side=100)

    assert [pixels.shape[:2] for _, pixels in pictures(page)] == [(25, 100)] * 2 + [(40, 60)] * 3


def test_a_file_is_shown_upright_in_colours_of_srgb_without_its_metadata(page, tmp_path):
    photo = tmp_path / "wide [page=2].png"
    colour = torch.tensor([1.0, 0.5, 0.5])[:, None, None].expand(3, 30, 50)
    profile = {"icc-profile-data": vips.profile_of_display_p3()}
    write_photo(photo, Photo(colour, alpha=torch.ones(1, 30, 50), metadata=profile))

    write_page(page, "Photos", [Entry("file", photo, photo)])

    (_, shown), _ = pictures(page)
    by_vips = pyvips.Image.new_from_buffer(photo.read_bytes(), "").flatten().icc_transform("srgb")
    np.testing.assert_allclose(shown, np.broadcast_to(by_vips.numpy()[0, 0], (30, 50, 3)), atol=3)
    assert abs(shown[0, 0] - (255, 128, 128)).max() > 5


def test_names_and_captions_are_text_whatever_they_hold(page):
    wicked = '"><script>alert(1)</script> & \udce9 {{summary}} <!-- entries -->'

    write_page(page, wicked, [entry(wicked, caption=wicked)])

    text = page.read_text()
    assert text.count("<script>") == 1  # the page's own
    assert names(page) == [wicked.replace("\udce9", "?")]


def test_a_page_needs_nothing_from_elsewhere(page):
    write_page(page, "Photos", [entry()])

    assert not re.findall(r"""(?:src|href|url|import)\W+(?!data:)\w*:?//""", page.read_text())
    assert "default-src 'none'; img-src data:" in page.read_text()


def test_entries_are_taken_one_at_a_time(page):
    alive = 0

    class Counted(torch.Tensor):
        def __del__(self):
            nonlocal alive
            alive -= 1

    def entries():
        nonlocal alive
        for number in range(5):
            assert alive <= 2  # the last one, still named by its taker
            alive += 2
            yield Entry(str(number), *(flat((0.1, 0.1, 0.1)).as_subclass(Counted) for _ in range(2)))

    write_page(page, "Photos", entries())

    assert len(names(page)) == 5


def test_a_page_that_cannot_be_finished_leaves_the_old_one_and_nothing_else(page):
    def entries():
        yield entry("new")
        raise KeyboardInterrupt

    write_page(page, "Photos", [entry("old")])
    with pytest.raises(KeyboardInterrupt):
        write_page(page, "Photos", entries())

    assert names(page) == ["old"]
    assert os.listdir(page.parent) == ["page.html"]


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("", r"is a folder; name a file for the page, such as .*/page\.html"),
        ("photo.png", r"does not end in \.html; name a file for the page"),
        ("page", r"does not end in \.html"),
        ("mine.html", "is there already and is no page of ours; choose another name"),
        ("mine.html/page.html", r"mine\.html is a file, so .*page\.html cannot lie in it"),
    ],
)
def test_a_wrong_place_is_refused_and_left_as_it_is(tmp_path, place, said):
    (tmp_path / "photo.png").write_text("pixels")
    (tmp_path / "mine.html").write_text("<!DOCTYPE html><title>mine</title>")

    with pytest.raises(DataError, match=said):
        write_page(tmp_path / place, "Photos", [])

    assert sorted(os.listdir(tmp_path)) == ["mine.html", "photo.png"]
    assert (tmp_path / "photo.png").read_text() == "pixels"


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, _mode: path != tmp_path)

    with pytest.raises(DataError, match=r"cannot be written to, so .*page\.html cannot lie in it"):
        check_place(tmp_path / "deep" / "page.html")


def test_a_page_is_replaced_by_a_page(page):
    write_page(page, "Photos", [entry("old")])

    check_place(page)
    write_page(page, "Photos", [entry("new")])

    assert names(page) == ["new"]


def test_ranks_come_one_after_the_other_and_are_said_where_they_occur(page):
    def write(*entries):
        with open_page(page, "Photos", ranks=["by gain", "by PSNR"]) as add:
            for each in entries:
                add(each)

    write(entry("b", 40.0, rank=1), entry("none"), entry("a", 50.0), entry("c", 60.0, rank=1))
    assert names(page) == ["a", "b", "c", "none"]
    assert "4 photos, worst first by gain, then by PSNR." in page.read_text()

    write(entry("b", 40.0, rank=1))
    assert "1 photo, worst first by PSNR." in page.read_text()


def test_previews_that_were_made_before_are_taken_as_they_are(page):
    made = [make_preview(flat(colour, 50, 200), side=100) for colour in COLOURS.values()]

    write_page(page, "Photos", [Entry("one", *made)])

    found = re.findall(r"base64,([^\"]+)", page.read_text())
    assert [base64.b64decode(data) for data in found] == made
    assert "--width: 100; --height: 25" in page.read_text()


def test_a_photo_tells_its_group_and_without_one_nothing(page):
    write_page(page, "Photos", [entry(group='"rain" & fog', caption="PSNR 30"), entry("two", caption="no")])

    text = page.read_text()
    assert '<article data-group="&quot;rain&quot; &amp; fog">' in text
    assert "<p>&quot;rain&quot; &amp; fog</p><p>PSNR 30</p>" in text
    assert "<h2>two</h2><p>no</p>" in text


def test_a_file_that_is_no_picture_is_said_and_the_rest_is_shown(tmp_path):
    text, photo = tmp_path / "text.png", torch.rand(3, 9, 9)
    text.write_text("no picture")

    write_page(tmp_path / "page.html", "Photos", [Entry("text", text, text), Entry("photo", photo, photo)])

    page = (tmp_path / "page.html").read_text()
    assert "text.png cannot be shown" in page
    assert page.count('class="photo"') == 1


def test_grey_floats_are_as_bright_as_they_are(tmp_path):
    write_photo(tmp_path / "a.tif", Photo(torch.full((1, 20, 20), 0.5), 32))

    image = read_preview(tmp_path / "a.tif", 20)

    assert image.avg() == pytest.approx(127.5, abs=1)


def test_no_photos_are_a_page_too(page):
    write_page(page, "Photos", [])

    assert "0 photos" in page.read_text()


TRIES = 5  # the browser's clock runs ahead of its decoders, so on a busy machine no photo may be there yet


def opened(page, probe, size="1000,800"):
    """What a script finds in the page once its first photo is there; the script sets `found`."""
    steps = f"const found = {{}}; {probe}; document.title = JSON.stringify(found)"
    steps += "; document.documentElement.dataset.settled = document.images[0].naturalWidth > 0"
    script = f"<script>setTimeout(() => {{ {steps}; }}, 500)</script>"
    page.write_text(page.read_text().replace("</body>", f"{script}</body>"))
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--window-size={size}", "--dump-dom"]
    command = [BROWSER, *options, "--virtual-time-budget=4000", page.as_uri()]
    shown = ""
    for _try in range(TRIES):
        shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
        if 'data-settled="true"' in shown:
            break
    title = re.search(r"<title>(.*?)</title>", shown, flags=re.DOTALL)
    assert title
    return json.loads(unescape(title[1]))


class TestInABrowser:
    pytestmark = in_a_browser

    def test_only_photos_near_the_screen_are_decoded(self, page):
        write_page(page, "Photos", [entry(str(number)) for number in range(60)])

        found = opened(
            page,
            "found.widths = [...document.images].map((image) => image.naturalWidth);"
            "found.waiting = [...document.images].map((image) => 'src' in image.dataset)",
            size="400,600",
        )

        assert found["widths"][:3] == [60, 60, 60]
        assert found["widths"][-1] == 0
        assert found["waiting"][-1] is True
        assert found["waiting"].count(False) < 60

    def test_the_slider_moves_the_edge_between_the_pictures(self, page):
        write_page(page, "Photos", [entry()])

        found = opened(
            page,
            "const slider = document.querySelector('input'); slider.value = 20;"
            "slider.dispatchEvent(new Event('input'));"
            "found.clip = getComputedStyle(document.querySelector('img.left')).clipPath",
        )

        assert found["clip"] in ("inset(0px 80% 0px 0px)", "inset(0px calc(80%) 0px 0px)")

    def test_a_pointer_moves_the_edge_to_where_it_is(self, page):
        write_page(page, "Photos", [entry()])

        found = opened(
            page,
            "const photo = document.querySelector('.photo'); const box = photo.getBoundingClientRect();"
            "photo.setPointerCapture = () => {};"
            "photo.dispatchEvent(new PointerEvent('pointerdown', { clientX: box.left + box.width / 4 }));"
            "found.value = document.querySelector('input').value;"
            "found.at = photo.style.getPropertyValue('--at');"
            "found.focus = document.activeElement.tagName",
        )

        assert found == {"value": "25", "at": "25%", "focus": "INPUT"}

    def test_buttons_choose_which_two_pictures_are_compared(self, page):
        write_page(page, "Photos", [entry(), entry("two", clean=None)])

        found = opened(
            page,
            "const card = document.querySelector('article');"
            "const pairs = [...card.querySelectorAll('.pair')];"
            "found.choices = pairs.map((each) => each.textContent); pairs[2].click();"
            "found.shown = ['left', 'right'].map((side) => card.querySelector('img.' + side).alt);"
            "found.pressed = pairs.map((each) => each.ariaPressed);"
            "found.label = card.querySelector('input').ariaLabel;"
            "found.others = document.querySelectorAll('article:last-of-type .pair').length",
        )

        assert found == {
            "choices": ["degraded | restored", "degraded | clean", "restored | clean"],
            "shown": ["restored", "clean"],
            "pressed": ["false", "false", "true"],
            "label": "one: how much is restored instead of clean, in percent",
            "others": 0,
        }

    def test_one_group_can_be_shown_alone(self, page):
        broken = page.with_name("broken.png")
        broken.write_text("no picture")
        groups = [entry("a", 3.0, group="rain"), entry("b", 1.0, group="haze"), entry("c", 2.0, group="rain")]

        write_page(page, "Photos", [*groups, entry("d", restored=broken, group="haze")])
        found = opened(
            page,
            "const select = document.querySelector('select');"
            "const shown = () => [...document.querySelectorAll('article')]"
            ".filter((card) => card.offsetHeight > 0).map((card) => card.querySelector('h2').textContent);"
            "found.choices = [...select.options].map((each) => each.textContent); found.first = shown();"
            "const choose = (index) => { select.selectedIndex = index;"
            " select.dispatchEvent(new Event('change')); return shown(); };"
            "found.haze = choose(1); found.rain = choose(2); found.all = choose(0)",
        )

        assert found == {
            "choices": ["all (4)", "haze (2)", "rain (2)"],
            "first": ["b", "c", "a", "d"],
            "haze": ["b", "d"],
            "rain": ["c", "a"],
            "all": ["b", "c", "a", "d"],
        }

    def test_a_page_of_one_group_has_nothing_to_choose(self, page):
        write_page(page, "Photos", [entry(group="rain"), entry("two", group="rain")])

        assert opened(page, "found.choices = document.querySelectorAll('select').length") == {"choices": 0}

    def test_nothing_is_wider_than_a_phone(self, page):
        long = "a_very_long_name_" * 20

        wide = entry(long, caption=long, degraded=flat((0, 0, 0), 40, 900), group=long)
        write_page(page, long, [wide, entry("two", group="rain")])
        found = opened(page, "found.width = document.documentElement.scrollWidth - innerWidth", "360,640")

        assert found["width"] <= 0
