import re

import pytest
import torch
from torch import nn

from dino_ir.catalog import build
from dino_ir.conversion import convert
from dino_ir.errors import RecipeError, WeightsError
from dino_ir.files.weights import read_weights
from dino_ir.inference import load

RESTORMER = {"name": "restormer", "dim": 8, "depths": [1, 2, 1, 1], "heads": [1, 2, 4, 8], "refine": 2}
RESTORMER |= {"expansion": 2.66, "norm_bias": True, "colors": 3}
NAFNET = {"name": "nafnet", "width": 8, "encoder": [1, 2, 1], "middle": 2, "decoder": [2, 1, 1]}
TABLES = [RESTORMER, RESTORMER | {"norm_bias": False}, RESTORMER | {"norm_bias": False, "colors": 1}, NAFNET]

# Our names and the authors'; {n} is a level that they count from 1, {m} the next one.
RESTORMER_NAMES = {
    r"^from_image": "patch_embed.proj",
    r"^to_image": "output",
    r"^refine\.": "refinement.",
    r"^(en|de)coder\.(\d)": r"\1coder_level{n}",
    r"^down\.(\d)": "down{n}_{m}.body",
    r"^up\.(\d)": "up{m}_{n}.body",
    r"^merge\.(\d)": "reduce_chan_level{n}",
    r"attention_norm": "norm1.body",
    r"feedforward_norm": "norm2.body",
    r"attention\.to_qkv": "attn.qkv",
    r"attention\.blend": "attn.qkv_dwconv",
    r"attention\.project": "attn.project_out",
    r"attention\.temperature": "attn.temperature",
    r"feedforward\.widen": "ffn.project_in",
    r"feedforward\.blend": "ffn.dwconv",
    r"feedforward\.narrow": "ffn.project_out",
}
# Here {n} is a level that they count from the coarsest.
NAFNET_NAMES = {
    r"^from_image": "intro",
    r"^to_image": "ending",
    r"^encoder": "encoders",
    r"^down": "downs",
    r"^middle": "middle_blks",
    r"^up\.(\d)\.widen": "ups.{n}.0",
    r"^decoder\.(\d)": "decoders.{n}",
    r"mix\.norm": "norm1",
    r"mix\.widen": "conv1",
    r"mix\.blend": "conv2",
    r"mix\.weigh": "sca.1",
    r"mix\.narrow": "conv3",
    r"mix\.gain": "beta",
    r"feedforward\.norm": "norm2",
    r"feedforward\.widen": "conv4",
    r"feedforward\.narrow": "conv5",
    r"feedforward\.gain": "gamma",
}


def random_network(table) -> nn.Module:
    torch.manual_seed(0)
    network = build("networks", table)
    for parameter in network.parameters():
        if parameter.ndim != 4 or not parameter.any():
            nn.init.normal_(parameter, std=0.5)
    return network


def their_name(ours: str, table) -> str:
    level = int((re.search(r"\.(\d)", ours) or ["", "0"])[1])
    names = RESTORMER_NAMES if table["name"] == "restormer" else NAFNET_NAMES
    n = level + 1 if table["name"] == "restormer" else len(table["encoder"]) - 1 - level
    for pattern, theirs in names.items():
        ours = re.sub(pattern, theirs, ours).format(n=n, m=n + 1)
    return ours


def published(table) -> dict[str, torch.Tensor]:
    """A network's weights by the authors' names."""
    return {their_name(name, table): value for name, value in random_network(table).state_dict().items()}


@pytest.mark.parametrize("table", TABLES)
def test_gives_the_network_that_was_published(table, tmp_path):
    out = tmp_path / "made/here.safetensors"
    network = random_network(table)
    images = torch.rand(2, 3, 16, 24)

    written = convert(published(table), out, "their file")
    restorer = load(out, device="cpu")

    assert written == {"restorer": {"name": "plain", "network": table}, "converted": "their file"}
    assert read_weights(out)[1] == written | {"priors": {}}
    torch.testing.assert_close(restorer(images), network(images), rtol=1e-2, atol=1e-2)
    network.load_state_dict({name: value.half().float() for name, value in network.state_dict().items()})
    torch.testing.assert_close(restorer(images), network(images), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"refinement.1.attn.qkv.weight": None, "output.weight": None},
            r"restormer's, but do not fit it: 2 missing, such as network.refine.1.attention.to_qkv.weight, "
            r"network.to_image.weight$",
        ),
        ({"output.bias": torch.zeros(3)}, r"fit it: 1 unexpected, such as network.to_image.bias$"),
        (
            {"output.weight": torch.zeros(1, 16, 3, 3)},
            r"1 of another shape, such as \S+ \[1, 16, 3, 3\] instead of \[3, 16, 3, 3\]$",
        ),
        (
            {
                "latent.0.ffn.project_out.weight": torch.zeros(64, 999, 1, 1),
                "latent.0.attn.bias": torch.zeros(1),
            },
            r"fit it: 1 unexpected, such as network.latent.0.attn.bias; \d+ of another shape, such as ",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(change, message, tmp_path):
    weights = {name: value for name, value in (published(RESTORMER) | change).items() if value is not None}

    with pytest.raises(WeightsError, match=message):
        convert(weights, tmp_path / "out.safetensors", "")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_nafnet_is_named_too(tmp_path):
    weights = published(NAFNET)
    del weights["ups.1.0.weight"]

    with pytest.raises(WeightsError, match=r"look like nafnet's, but do not fit it: \d+ missing, such as"):
        convert(weights, tmp_path / "out.safetensors", "")


@pytest.mark.parametrize(
    ("weights", "shown"),
    [
        (
            {f"stage{index}.weight": torch.zeros(1) for index in range(9)},
            "stage0.weight, stage1.weight, stage2",
        ),
        ({}, "no names at all"),
    ],
)
def test_weights_that_nothing_recognises_list_what_is_known(weights, shown, tmp_path):
    with pytest.raises(
        WeightsError, match=rf"no network recognises .*\({shown}.*; give .* nafnet, restormer"
    ):
        convert(weights, tmp_path / "out.safetensors", "")


def test_the_dual_pixel_model_is_refused(tmp_path):
    weights = published(RESTORMER) | {"skip_conv.weight": torch.zeros(16, 8, 1, 1)}

    with pytest.raises(WeightsError, match="pair of dual-pixel views"):
        convert(weights, tmp_path / "out.safetensors", "")


def test_a_known_network_of_other_images_is_refused(tmp_path):
    weights = published(RESTORMER) | {"patch_embed.proj.weight": torch.zeros(8, 4, 3, 3)}

    with pytest.raises(RecipeError, match=r"networks/restormer: expected 1 or 3 colors, got 4"):
        convert(weights, tmp_path / "out.safetensors", "")
