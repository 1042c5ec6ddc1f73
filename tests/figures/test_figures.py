"""Every figure is drawn of small things, and its numbers are what they say."""

import json
import math

import pytest
import torch

from dino_ir.catalog import build
from dino_ir.contracts import Truth
from dino_ir.drawing import (
    Drawing,
    Material,
    Sample,
    check_drawing,
    check_output,
    figure_names,
    find_figure,
    new_figure,
    show,
    write_drawing,
)
from dino_ir.errors import DataError, RecipeError
from dino_ir.files.images import read_rgb
from dino_ir.priors.dino_tiny import DINOTiny
from dino_ir.restorers.identity import Identity

pytest.importorskip("matplotlib", reason="figures are drawn by matplotlib")


def photos(count=2, side=48):
    rng = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 6, 6, generator=rng)
    smooth = torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")
    return {f"photo {index}": photo for index, photo in enumerate(smooth)}


def guided():
    torch.manual_seed(0)
    table = {
        "name": "dino_ir",
        "network": {"name": "nafnet", "width": 4, "encoder": [1], "middle": 1, "decoder": [1]},
        "prior": {"name": "dino_tiny", **DINOTiny.tiny, "trained": False},
        "feature_fusion": {"name": "pixel_semantic", "channels": 8},
        "side": 48,
    }
    return build("restorers", table).eval()


@pytest.fixture
def material(tmp_path):
    """Something of everything that a figure may want."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        lines = [{"step": step, "pixel": 1 / step, "lr": 1e-3} for step in range(1, 121)]
        lines[-1]["psnr_noise"] = 30.0
        (tmp_path / name / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    means = tmp_path / "means.csv"
    rows = [
        f"{arm}_{tasks},0,b,2,{25 + i},0.7"
        for arm in ("plain", "dino_ir")
        for i, tasks in enumerate(("b", "bn"))
    ]
    means.write_text("\n".join(["arm,seed,benchmark,images,psnr,ssim", *rows]))
    restorer = guided()
    runs = {name: tmp_path / name for name in ("one", "two")}
    return Material(photos(), {"ours": restorer, "nothing": Identity()}, restorer.prior, runs, means)


@pytest.mark.parametrize("name", figure_names())
def test_every_figure_is_a_picture_with_its_numbers_beside_it(name, material, tmp_path):
    drawing = find_figure(name)(material)

    numbers = write_drawing(drawing, tmp_path / "figures" / f"{name}.png")

    picture = read_rgb(tmp_path / "figures" / f"{name}.png").float()
    lines = numbers.read_text().splitlines()
    assert picture.std() > 5
    assert len(lines) == len(drawing.rows) + 1 > 2
    assert all(len(row) == len(drawing.heads) for row in drawing.rows)


@pytest.mark.parametrize("name", figure_names())
def test_what_a_figure_needs_is_said(name):
    if name == "fig1":
        assert find_figure(name)(Material()).rows  # the paper's own numbers are there
    else:
        with pytest.raises(DataError, match=f"{name} needs"):
            find_figure(name)(Material())


def test_an_unknown_figure_lists_those_there_are():
    with pytest.raises(RecipeError, match="no figure 'fig9'; there are: crops, fig1"):
        find_figure("fig9")


def test_a_clean_photo_is_like_itself_in_fig3a(material):
    rows = find_figure("fig3a")(material).rows

    assert [row[2:] for row in rows if row[1] == "clean"] == [("1.0000", "1.0000")] * 2
    assert all(float(row[3]) < 1 for row in rows if row[1] == "rain")


def test_the_image_of_fig3b_follows_the_closed_form_and_the_claim_is_judged(material):
    material = material._replace(photos=photos(1, 224))  # of the size that the prior sees

    drawing = find_figure("fig3b")(material)

    image = {row[1]: float(row[2]) for row in drawing.rows if row[0] == "image"}
    flat = torch.stack(list(material.photos.values()))
    span = (flat.amax(dim=(1, 2, 3)) - flat.amin(dim=(1, 2, 3))).log10().mean().item()
    expected = {str(s): 20 * (math.log10(255 / s) + span) for s in range(10, 101, 10)}
    assert image == pytest.approx(expected, abs=0.3)
    assert "not as the paper says" in drawing.notes[0]  # an embedding is linear


def test_no_rain_differs_by_nothing_in_fig5(material):
    rows = find_figure("fig5")(material).rows

    assert [float(row[2]) for row in rows if row[1] == "no"] == [0, 0]
    assert all(float(row[2]) > 0 for row in rows if row[1] != "no")


def test_the_gates_scores_sum_to_one(material):
    rows = find_figure("gate")(material).rows

    damages = {row[0] for row in rows}
    sums = [sum(float(row[2]) for row in rows if row[0] == damage) for damage in damages]
    assert sums == pytest.approx([1] * len(damages), abs=1e-3)
    with pytest.raises(DataError, match="a guide"):
        find_figure("gate")(material._replace(restorers={"nothing": Identity()}))


def test_identity_scores_what_the_degraded_photo_does_in_crops(material):
    rows = find_figure("crops")(material).rows

    scores = {tuple(row[:3]): row[3] for row in rows}
    for name in material.photos:
        for damage in ("haze", "rain"):
            assert scores[name, damage, "nothing"] == scores[name, damage, "degraded"]


def test_a_sample_is_shown_as_it_is_in_crops():
    clean = torch.full((3, 40, 40), 100 / 255)
    sample = Sample("a", "set", torch.full((3, 40, 40), 110 / 255), Truth(clean, []))

    drawing = find_figure("crops")(Material(samples=[sample], restorers={"nothing": Identity()}))

    score = f"{-20 * math.log10(10 / 255):.3f}"
    assert drawing.rows == [("a", "set", "degraded", score), ("a", "set", "nothing", score)]
    assert len(drawing.figure.axes) == 3


def test_the_curves_of_a_run_are_means_of_its_log(material):
    rows = find_figure("training")(material).rows

    first = next(row for row in rows if row[:2] == ("one", "pixel"))
    assert first[2:] == ("1.5", "0.75")  # steps 1 and 2 of 120 in 60 stretches
    assert ("two", "psnr_noise", "120", "30") in rows


def test_a_folder_without_a_log_and_a_table_of_another_kind_are_named(material, tmp_path):
    with pytest.raises(DataError, match=r"log\.jsonl cannot be read"):
        find_figure("training")(Material(runs={"none": tmp_path}))
    other = tmp_path / "other.csv"
    other.write_text("arm,psnr\nguided,3\n")
    with pytest.raises(DataError, match=r"no means\.csv of `dino-ir reproduce table6`"):
        find_figure("fig1")(Material(means=other))


def test_the_papers_curves_of_fig1_fall_by_what_its_text_says():
    rows = find_figure("fig1")(Material()).rows

    values = {tuple(row[:2]): float(row[2]) for row in rows}
    falls = [
        values[f"{name}, the paper", "+ haze"] - values[f"{name}, the paper", "blur alone"]
        for name in ("Restormer", "DINO-IR")
    ]
    assert falls == pytest.approx([-0.37, -0.13])


def test_a_picture_is_shown_pixel_by_pixel():
    figure, axes = new_figure(1, 1, (1, 1))
    show(axes[0, 0], torch.tensor([[[1.0]], [[0.0]], [[2.0]]]))

    assert axes[0, 0].images[0].get_array().tolist() == [[[1, 0, 1]]]
    assert figure.axes == [axes[0, 0]]


@pytest.mark.parametrize("name", ["fig3a", "fig5", "crops"])
def test_no_edge_of_a_figure_is_empty(name, material, tmp_path):
    write_drawing(find_figure(name)(material), tmp_path / "figure.png")

    inked = read_rgb(tmp_path / "figure.png").min(dim=0).values < 250
    for lines in (inked.any(dim=1), inked.any(dim=0)):
        places = lines.nonzero()
        empty = max(int(places.min()), len(lines) - 1 - int(places.max()))
        assert empty <= 20  # 0.1 inches at 150 dpi, and a little


def test_a_place_is_checked_for_the_picture_and_its_numbers(tmp_path):
    (tmp_path / "a.csv").touch()

    check_drawing(tmp_path / "new/b.PDF")
    check_drawing(tmp_path / "a.png", is_replaced=True)
    with pytest.raises(DataError, match=r"a\.csv exists: choose another name, or replace it by --overwrite"):
        check_drawing(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.csv is read by this command"):
        check_drawing(tmp_path / "a.png", [tmp_path / "a.csv"], is_replaced=True)


def test_an_output_may_not_be_an_input_by_another_name(tmp_path):
    (tmp_path / "a.csv").touch()
    (tmp_path / "link.csv").symlink_to(tmp_path / "a.csv")

    with pytest.raises(DataError, match=r"link\.csv is read by this command"):
        check_output(tmp_path / "link.csv", (".csv",), [tmp_path / "a.csv"], is_replaced=True)


def test_a_kind_of_file_that_cannot_be_drawn_is_named(tmp_path):
    figure, _axes = new_figure(1, 1, (1, 1))

    with pytest.raises(DataError, match=r"cannot write .*\.qqq"):
        write_drawing(Drawing(figure, (), ()), tmp_path / "figure.qqq")
