"""`dino-ir figure`, as a user types it."""

import pytest

from dino_ir.files.images import read_rgb

MEANS = "arm,seed,benchmark,images,psnr,ssim\nplain_b,0,b,2,25,0.7\ndino_ir_b,0,b,2,26,0.7\n"


@pytest.fixture
def draw(folder, call):
    """Call the verb in a folder that has photos/, means.csv and old.png; its exit code, and what was said."""
    (folder / "means.csv").write_text(MEANS)
    (folder / "old.png").write_text("mine")
    return lambda *words: call("figure", *words)


def test_a_figure_and_its_numbers_go_where_they_are_wanted(draw, folder):
    pytest.importorskip("matplotlib", reason="figures are drawn by matplotlib")

    code, said = draw("fig1", "--means", "means.csv", "-o", "deep/curves.png")

    assert code == 0
    assert said.endswith("deep/curves.png and deep/curves.csv\n")
    assert read_rgb(folder / "deep/curves.png").float().std() > 5
    assert '"guided, ours",blur alone,26.0000' in (folder / "deep/curves.csv").read_text()
    assert (folder / "means.csv").read_text() == MEANS


def test_a_figure_is_drawn_again_if_one_says_so(draw, folder):
    pytest.importorskip("matplotlib", reason="figures are drawn by matplotlib")
    draw("fig1")
    first = (folder / "fig1.csv").read_text()
    (folder / "fig1.csv").write_text("mine")
    (folder / "fig1.png").unlink()

    again, anew = draw("fig1"), draw("fig1", "--overwrite")

    assert again == (2, "dino-ir: fig1.csv exists: choose another name, or replace it by --overwrite\n")
    assert anew[0] == 0
    assert (folder / "fig1.csv").read_text() == first


@pytest.mark.parametrize("more", [[], ["--overwrite"]])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fig1", "--means", "means.csv", "-o", "means.png"], "means.csv is read by this command"),
        (["fig1", "--means", "means.csv", "-o", "./photos/../means.png"], "means.csv is read by"),
        (["fig5", "photos/a.png", "-o", "photos/a.png"], "photos/a.png is read by this command"),
        (["fig1", "-o", "fig/x"], "got fig/x: name it fig/x.png"),
        (["fig1", "-o", "means.csv"], "expected a name that ends in .png, .pdf, .svg"),
        (["fig5", "--benchmark", "set5_blur"], "--benchmark is for crops: give fig5 photos"),
        (["fig1", "-o", "photos"], "photos is a folder: name a file, such as photos/name.png"),
        (["fig1", "-o", "means.csv/x.png"], "means.csv is a file, so means.csv/x.png cannot lie in it"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_drawn(
    draw, folder, monkeypatch, words, said, more
):
    monkeypatch.setattr("dino_ir.drawing.find_figure", lambda _name: lambda _material: pytest.fail("drawn"))
    before = read_rgb(folder / "photos/a.png")

    code, output = draw(*words, *more)

    assert code == 2
    assert said in output
    assert len(output.splitlines()) == 1
    assert (folder / "means.csv").read_text() == MEANS
    assert read_rgb(folder / "photos/a.png").equal(before)
    assert not (folder / "fig").exists()


def test_other_files_stay_unless_one_says_so(draw, folder):
    code, output = draw("fig1", "-o", "old.png")

    assert (code, output) == (
        2,
        "dino-ir: old.png exists: choose another name, or replace it by --overwrite\n",
    )
    assert (folder / "old.png").read_text() == "mine"


def test_a_figure_is_drawn_of_photos_that_are_named(draw, folder, weights):
    pytest.importorskip("matplotlib", reason="figures are drawn by matplotlib")

    code, said = draw("crops", "photos/a.png", "--weights", weights, "--restorer", "identity")

    assert code == 0
    assert "crops.png and crops.csv" in said
    assert "a,haze,tiny," in (folder / "crops.csv").read_text()
    assert "a,rain,identity," in (folder / "crops.csv").read_text()


def test_the_first_photo_of_a_benchmark_is_shown_in_crops(draw, folder, weights):
    pytest.importorskip("matplotlib", reason="figures are drawn by matplotlib")
    (folder / "grey.toml").write_text(
        'title = "Noise"\ntask = "denoise"\ndataset = { name = "clean_folder", root = "photos" }\n'
        'degradation = { name = "gaussian_noise", sigma = 25 }\n'
    )

    code, _said = draw("crops", "--benchmark", "grey.toml", "--data", ".", "--weights", weights)

    lines = (folder / "crops.csv").read_text().splitlines()
    assert code == 0
    assert [line.rsplit(",", 1)[0] for line in lines[1:]] == ["a,grey,degraded", "a,grey,tiny"]
    assert 20 < float(lines[1].rsplit(",", 1)[1]) < 22  # noise of sigma 25, a little less of it clipped


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fig9", "no figure 'fig9'; there are: crops"),
        ("training", "training needs the folder of a run"),
    ],
)
def test_wrong_usage_is_code_2_and_a_sentence(draw, name, said):
    code, output = draw(name)

    assert code == 2
    assert said in output
