"""Protocols give the numbers that the code they are named after gives: closed forms, NumPy, scikit-image."""

import math
import tomllib
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from dino_ir import protocol as protocol_module
from dino_ir.errors import ImageError, RecipeError
from dino_ir.protocol import OURS, Protocol, build_protocol, protocol_names, read_protocol

GAUSSIAN = {"gaussian_weights": True, "win_size": 11, "use_sample_covariance": False}
FOLDER = Path(protocol_module.__file__).parent / "protocols"


def pair(height=40, width=50):
    """A clean image of 8 bits, and it restored, in floats."""
    rng = torch.Generator().manual_seed(0)
    clean = torch.randint(256, (1, 3, height, width), generator=rng).cumsum(3).float() / (255 * width)
    clean = (clean * 255).round() / 255
    return (clean + 0.05 * torch.randn(clean.shape, generator=rng)).clamp(0, 1), clean


def scores(name):
    restored, clean = pair()
    protocol = read_protocol(name)
    restored, clean = protocol.finish(protocol.cut(restored)), protocol.cut(clean)
    seen = protocol.view(restored, clean)
    return {key: float(metric(*seen)) for key, metric in protocol.metrics().items()}


def as_array(image):
    return image[0].movedim(0, 2).double().numpy()


# --- against scikit-image ---------------------------------------------------------------------


@pytest.mark.parametrize(("name", "part"), [("promptir", np.s_[4:36, 1:49]), ("reside", np.s_[:, :])])
def test_floats_and_the_uniform_window_are_scikit_images_own_defaults(name, part):
    restored, clean = (as_array(image)[part] for image in pair())

    found = scores(name)

    ssim = structural_similarity(clean, restored, data_range=1, channel_axis=-1)
    assert found["psnr"] == pytest.approx(peak_signal_noise_ratio(clean, restored, data_range=1), abs=1e-6)
    assert found["ssim"] == pytest.approx(ssim, abs=1e-6)


@pytest.mark.parametrize(("name", "border"), [("default", 0), ("restormer", 0), ("kair", 0), ("daclip", 4)])
def test_saved_files_and_the_gaussian_window(name, border):
    restored, clean = (
        (as_array(image) * 255).round()[border : 40 - border, border : 50 - border] for image in pair()
    )

    found = scores(name)

    ssim = structural_similarity(clean, restored, data_range=255, channel_axis=-1, **GAUSSIAN)
    assert found["psnr"] == pytest.approx(peak_signal_noise_ratio(clean, restored, data_range=255), abs=1e-6)
    assert found["ssim"] == pytest.approx(ssim, abs=1e-6)


@pytest.mark.parametrize(("name", "is_rounded"), [("restormer_rain", True), ("allweather", False)])
def test_luma_is_matlabs_of_saved_files(name, is_rounded):
    restored, clean = (rgb2ycbcr((as_array(image) * 255).round() / 255)[..., 0] for image in pair())
    if is_rounded:
        restored, clean = restored.round(), clean.round()

    found = scores(name)

    assert found["psnr"] == pytest.approx(peak_signal_noise_ratio(clean, restored, data_range=255), abs=1e-4)
    ssim = structural_similarity(clean, restored, data_range=255, **GAUSSIAN)
    assert found["ssim"] == pytest.approx(ssim, abs=1e-5)


# --- noise ------------------------------------------------------------------------------------


def test_unclipped_noise_is_numpys_in_the_order_of_a_read_image():
    _, clean = pair()
    np.random.seed(0)  # noqa: NPY002 as the published code seeds it
    expected = as_array(clean) + np.random.normal(0, 25 / 255, (40, 50, 3))  # noqa: NPY002 as the published code seeds it

    noisy = read_protocol("restormer").add_noise(clean[0], 25, np.random.RandomState(0))

    np.testing.assert_allclose(noisy.movedim(0, 2).numpy(), expected, atol=1e-6)
    assert noisy.min() < 0


def test_truncated_noise_is_that_of_bytes():
    _, clean = pair()
    np.random.seed(0)  # noqa: NPY002 as the published code seeds it
    noise = np.random.randn(40, 50, 3)  # noqa: NPY002 as the published code seeds it
    expected = np.clip((as_array(clean) * 255).round() + noise * 50, 0, 255).astype(np.uint8)

    noisy = read_protocol("promptir").add_noise(clean[0], 50, np.random.RandomState(0))

    np.testing.assert_array_equal((noisy * 255).round().movedim(0, 2).numpy(), expected)


# --- parts of images --------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "first", "last"), [(32, 0, 31), (33, 0, 31), (35, 1, 32), (47, 7, 38)])
def test_images_are_cut_about_their_middle(side, first, last):
    ramp = torch.arange(float(side)).expand(3, side, side)

    cut = Protocol(multiple=16).cut(ramp)

    assert cut.shape == (3, 32, 32)
    assert (cut[0, 0, 0], cut[0, 0, -1]) == (first, last)


def test_an_image_below_the_multiple_is_refused():
    with pytest.raises(ImageError, match="multiples of 16"):
        Protocol(multiple=16).cut(torch.zeros(3, 15, 40))


def test_the_border_must_leave_something():
    with pytest.raises(ImageError, match="nothing within 4 pixels"):
        Protocol(border=4).view(*torch.zeros(2, 1, 3, 8, 40))


@pytest.mark.parametrize("shift", [(0, 0), (2, -1), (-3, 3)])
def test_a_shifted_image_is_compared_where_it_fits(shift):
    _, clean = pair()

    seen, inner = Protocol(shift=3).view(clean.roll(shift, (2, 3)), clean)

    torch.testing.assert_close(inner, clean[..., 3:-3, 3:-3])
    torch.testing.assert_close(seen, inner)


def test_each_image_has_a_shift_of_its_own():
    _, clean = pair()
    images = torch.cat([clean.roll(1, 2), clean.roll(-2, 3)])

    seen, inner = Protocol(shift=2).view(images, clean.expand(2, -1, -1, -1))

    torch.testing.assert_close(seen, inner)


@pytest.mark.parametrize("rounding", ["nearest", "none"])
def test_a_restored_image_is_clipped_and_rounded_where_the_protocol_rounds(rounding):
    finished = Protocol(rounding=rounding).finish(torch.tensor([-0.1, 0.5, 1.1]))

    assert finished.tolist() == pytest.approx([0, 128 / 255 if rounding == "nearest" else 0.5, 1])


# --- means ------------------------------------------------------------------------------------


def test_psnr_of_mean_errors_lies_below_the_mean_of_psnr():
    protocol = Protocol(averaging="errors")

    assert OURS.average("psnr", [20.0, 40.0]) == 30
    assert protocol.average("psnr", [20.0, 40.0]) == pytest.approx(-10 * math.log10((1e-2 + 1e-4) / 2))
    assert protocol.average("psnr", [math.inf, math.inf]) == math.inf
    assert protocol.average("ssim", [0.5, 0.7]) == pytest.approx(0.6)


# --- files ------------------------------------------------------------------------------------


def test_the_fields_named_protocols_are_there():
    assert {"default", "restormer", "promptir", "kair", "reside"} <= set(protocol_names())


@pytest.mark.parametrize("name", protocol_names())
def test_a_protocol_says_who_scores_like_it_and_where_that_is_seen(name):
    protocol = read_protocol(name)

    assert protocol.name == name
    assert protocol.title
    assert protocol.source


def test_the_default_file_writes_out_what_is_ours():
    table = tomllib.loads((FOLDER / "default.toml").read_text())

    assert read_protocol("default") == OURS
    assert table.keys() == {field.name for field in fields(Protocol)} - {"name"}


def test_a_protocol_may_be_a_file(tmp_path):
    (tmp_path / "mine.toml").write_text('color = "luma"\nborder = 3\n')

    assert read_protocol(tmp_path / "mine.toml") == replace(OURS, name="mine", color="luma", border=3)


def test_an_unknown_protocol_lists_those_there_are():
    with pytest.raises(RecipeError, match=r"no protocol 'matlab'; there are: .*promptir, "):
        read_protocol("matlab")


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"colour": "rgb"}, "unknown key 'colour'"),
        ({"color": "yuv"}, "color is one of rgb, luma, luma_8_bits, got 'yuv'"),
        ({"border": "4"}, "border must be of type int"),
        ({"border": True}, "border must be of type int"),
        ({"border": -1}, "at least 0"),
        ({"multiple": 0}, "at least 1"),
        ({"noise": "unclipped"}, "both the benchmark's own"),
    ],
)
def test_a_wrong_protocol_is_refused(table, problem):
    with pytest.raises(RecipeError, match=f"here: .*{problem}"):
        build_protocol(table, "here")


def test_a_file_that_is_not_toml_is_refused(tmp_path):
    (tmp_path / "mine.toml").write_text("border =")

    with pytest.raises(RecipeError, match="is not TOML"):
        read_protocol(tmp_path / "mine.toml")
