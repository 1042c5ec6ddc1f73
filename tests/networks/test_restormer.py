import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from dino_ir.errors import WeightsError
from dino_ir.layers.channel_attention import ChannelAttention
from dino_ir.networks.restormer import Restormer

WIDTHS = {"encoder_level1": 1, "encoder_level2": 2, "encoder_level3": 4, "latent": 8}  # in `dim`
WIDTHS |= {"decoder_level3": 4, "decoder_level2": 2, "decoder_level1": 2, "refinement": 2}
FULL = {"dim": 48, "depths": [4, 6, 6, 8], "heads": [1, 2, 4, 8], "refine": 4, "expansion": 2.66}
FULL |= {"norm_bias": True, "colors": 3}
SMALL = FULL | {"dim": 8, "depths": [1, 1, 1, 1], "refine": 1}


def official_block(channels: int, heads: int, expansion: float, bias: bool) -> dict[str, tuple[int, ...]]:
    hidden = int(channels * expansion)
    shapes: dict[str, tuple[int, ...]] = {
        "norm1.body.weight": (channels,),
        "attn.temperature": (heads, 1, 1),
        "attn.qkv.weight": (3 * channels, channels, 1, 1),
        "attn.qkv_dwconv.weight": (3 * channels, 1, 3, 3),
        "attn.project_out.weight": (channels, channels, 1, 1),
        "norm2.body.weight": (channels,),
        "ffn.project_in.weight": (2 * hidden, channels, 1, 1),
        "ffn.dwconv.weight": (2 * hidden, 1, 3, 3),
        "ffn.project_out.weight": (channels, hidden, 1, 1),
    }
    if bias:
        shapes |= {"norm1.body.bias": (channels,), "norm2.body.bias": (channels,)}
    return shapes


def official_weights(dim, depths, heads, refine, expansion, norm_bias, colors) -> dict[str, torch.Tensor]:
    """The names and shapes of the authors' published files, without their numbers."""
    shapes: dict[str, tuple[int, ...]] = {
        "patch_embed.proj.weight": (dim, colors, 3, 3),
        "down1_2.body.0.weight": (dim // 2, dim, 3, 3),
        "down2_3.body.0.weight": (dim, 2 * dim, 3, 3),
        "down3_4.body.0.weight": (2 * dim, 4 * dim, 3, 3),
        "up4_3.body.0.weight": (16 * dim, 8 * dim, 3, 3),
        "up3_2.body.0.weight": (8 * dim, 4 * dim, 3, 3),
        "up2_1.body.0.weight": (4 * dim, 2 * dim, 3, 3),
        "reduce_chan_level3.weight": (4 * dim, 8 * dim, 1, 1),
        "reduce_chan_level2.weight": (2 * dim, 4 * dim, 1, 1),
        "output.weight": (colors, 2 * dim, 3, 3),
    }
    levels = [0, 1, 2, 3, 2, 1, 0]
    stages = zip(WIDTHS.items(), [*levels, 0], [*(depths[level] for level in levels), refine])
    for (stage, width), level, depth in stages:
        for index in range(depth):
            block = official_block(width * dim, heads[level], expansion, norm_bias)
            shapes |= {f"{stage}.{index}.{name}": shape for name, shape in block.items()}
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def random_weights(**options) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        name: torch.randn(value.shape) * (0.5 * value[0].numel() ** -0.5 if value.ndim == 4 else 1)
        for name, value in official_weights(**options).items()
    }


def parameters_by_hand(colors: int, norm_bias: bool) -> int:
    """The published sizes from the paper's formulas, term by term."""

    def block(channels, heads):
        attention = 3 * channels**2 + 27 * channels + heads + channels**2
        hidden = int(2.66 * channels)
        feedforward = 2 * hidden * channels + 18 * hidden + hidden * channels
        return attention + feedforward + 2 * channels * (2 if norm_bias else 1)

    outer = 4 * block(48, 1) + 4 * block(96, 1) + 4 * block(96, 1)
    inner = 2 * 6 * block(96, 2) + 2 * 6 * block(192, 4) + 8 * block(384, 8)
    ends = 9 * colors * (48 + 96)
    down = sum(9 * channels * channels // 2 for channels in (48, 96, 192))
    up = sum(9 * channels * 2 * channels for channels in (96, 192, 384))
    return outer + inner + ends + down + up + 192 * 96 + 384 * 192


def reference_block(weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """One block on the authors' names, from the paper's equations 1 and 2."""

    def norm(x, name):
        weight, *bias = (weights[key] for key in sorted(weights, reverse=True) if key.startswith(name))
        deviation = (x.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
        if not bias:
            return x / deviation * weight.view(-1, 1, 1)
        return (x - x.mean(1, keepdim=True)) / deviation * weight.view(-1, 1, 1) + bias[0].view(-1, 1, 1)

    def blend(x, kernel):
        return F.conv2d(x, kernel, padding=1, groups=x.shape[1])

    qkv = blend(F.conv2d(norm(x, "norm1"), weights["attn.qkv.weight"]), weights["attn.qkv_dwconv.weight"])
    heads = len(weights["attn.temperature"])
    q, k, v = (part.flatten(2).unflatten(1, (heads, -1)) for part in qkv.chunk(3, dim=1))
    scores = F.normalize(q, dim=3) @ F.normalize(k, dim=3).mT * weights["attn.temperature"]
    x = x + F.conv2d((scores.softmax(3) @ v).view_as(x), weights["attn.project_out.weight"])
    hidden = F.conv2d(norm(x, "norm2"), weights["ffn.project_in.weight"])
    gate, value = blend(hidden, weights["ffn.dwconv.weight"]).chunk(2, dim=1)
    return x + F.conv2d(F.gelu(gate) * value, weights["ffn.project_out.weight"])


def reference(weights: dict[str, torch.Tensor], image: torch.Tensor) -> torch.Tensor:
    """The whole network on the authors' names, from the paper's figure 2."""

    def stage(x, name):
        for index in sorted({int(key.split(".")[1]) for key in weights if key.startswith(f"{name}.")}):
            prefix = f"{name}.{index}."
            block = {key[len(prefix) :]: value for key, value in weights.items() if key.startswith(prefix)}
            x = reference_block(block, x)
        return x

    x = F.conv2d(image, weights["patch_embed.proj.weight"], padding=1)
    skips = []
    for level in (1, 2, 3):
        skips.append(stage(x, f"encoder_level{level}"))
        kernel = weights[f"down{level}_{level + 1}.body.0.weight"]
        x = F.pixel_unshuffle(F.conv2d(skips[-1], kernel, padding=1), 2)
    x = stage(x, "latent")
    for level in (3, 2, 1):
        grown = F.conv2d(x, weights[f"up{level + 1}_{level}.body.0.weight"], padding=1)
        x = torch.cat([F.pixel_shuffle(grown, 2), skips.pop()], dim=1)
        if level > 1:
            x = F.conv2d(x, weights[f"reduce_chan_level{level}.weight"])
        x = stage(x, f"decoder_level{level}")
    return image + F.conv2d(stage(x, "refinement"), weights["output.weight"], padding=1)


# https://github.com/swz30/Restormer: deraining, Gaussian denoising of colour and of grey. No grey model with
# a bias is published: its size is that of the grey one plus a number per channel and norm, 14 976 of them.
@pytest.mark.parametrize(
    ("colors", "norm_bias", "parameters", "keys"),
    [
        (3, True, 26_126_644, 494),
        (3, False, 26_111_668, 406),
        (1, False, 26_109_076, 406),
        (1, True, 26_109_076 + 14_976, 494),
    ],
)
def test_the_published_size_and_files_fit(colors, norm_bias, parameters, keys):
    with torch.device("meta"):
        network = Restormer(norm_bias=norm_bias, colors=colors)
    weights = official_weights(**FULL | {"norm_bias": norm_bias, "colors": colors})

    network.load_state_dict(Restormer.rename_official(weights), assign=True)

    assert len(weights) == keys
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert parameters_by_hand(colors, norm_bias) == parameters


@pytest.mark.parametrize("norm_bias", [True, False])
def test_restores_as_the_authors_weights_mean_it(norm_bias):
    weights = random_weights(**FULL | {"norm_bias": norm_bias})
    network = Restormer(norm_bias=norm_bias)
    image = torch.rand(1, 3, 16, 24)

    network.load_state_dict(Restormer.rename_official(weights))

    torch.testing.assert_close(network(image), reference(weights, image), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("norm_bias", [True, False])
def test_a_network_of_grey_pictures_restores_each_color_on_its_own(norm_bias):
    options = SMALL | {"norm_bias": norm_bias, "colors": 1}
    weights = random_weights(**options)
    network = Restormer(**options)
    images = torch.rand(2, 3, 16, 24)

    network.load_state_dict(Restormer.rename_official(weights))

    expected = torch.cat([reference(weights, color) for color in images.split(1, dim=1)], dim=1)
    torch.testing.assert_close(network(images), expected, rtol=1e-5, atol=1e-5)


def test_a_network_of_grey_pictures_is_guided_through_each_color():
    torch.manual_seed(0)
    network = Restormer(**Restormer.tiny, colors=1)
    images = torch.rand(2, 3, 8, 12)
    seen: list[tuple[int, tuple[int, ...]]] = []

    def guide(place, features):
        seen.append((place, tuple(features.shape)))
        return features * (place + 1)

    restored = network(images, guide)

    places = [(0, (2, 32, 2, 3)), (1, (2, 16, 4, 6)), (2, (2, 16, 8, 12))]
    assert seen == 3 * places
    greens = network(images[:, [1, 1, 1]], guide)
    torch.testing.assert_close(greens, restored[:, [1, 1, 1]], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(restored, network(images), atol=1e-3)


@pytest.mark.parametrize(
    "options",
    [
        FULL,
        FULL | {"norm_bias": False},
        FULL | {"norm_bias": False, "colors": 1},
        SMALL | {"depths": [1, 2, 3, 4], "refine": 5, "heads": [1, 1, 2, 4], "expansion": 2.0},
        SMALL | {"dim": 36, "expansion": 4.0},
    ],
)
def test_options_are_read_from_the_names_and_shapes(options):
    assert Restormer.options_of_official(official_weights(**options)) == options


@pytest.mark.parametrize("expansion", [1.0, 1.3, 2 / 3, 2.66, 2.667, 3.14159])
@pytest.mark.parametrize("dim", [8, 24, 48])
def test_the_read_expansion_gives_the_hidden_widths_exactly(dim, expansion):
    weights = official_weights(**SMALL | {"dim": dim, "expansion": expansion})
    options = Restormer.options_of_official(weights)
    assert options is not None

    with torch.device("meta"):
        network = Restormer(**options)

    network.load_state_dict(Restormer.rename_official(weights), assign=True)


def test_hidden_widths_without_a_common_expansion_leave_it_to_loading_to_name_them():
    weights = official_weights(**SMALL)
    weights["latent.0.ffn.project_out.weight"] = torch.empty(64, 64, 1, 1)
    options = Restormer.options_of_official(weights)

    assert options == SMALL | {"expansion": 85 / 32}  # of the third level, the largest


# PromptIR is Restormer with prompts; a model of another shape of attention or feed-forward lacks a name.
@pytest.mark.parametrize(
    ("added", "removed"),
    [
        ("prompt1.prompt_param", None),
        ("skip_connection.weight", None),
        (None, "encoder_level1.0.attn.temperature"),
        (None, "latent.0.ffn.project_out.weight"),
        (None, "patch_embed.proj.weight"),
    ],
)
def test_weights_of_another_network_are_not_recognised(added, removed):
    weights = official_weights(**SMALL)
    if added:
        weights[added] = torch.empty(1)
    weights.pop(removed, None)

    assert Restormer.options_of_official(weights) is None


def test_the_dual_pixel_model_is_refused():
    weights = official_weights(**FULL)
    weights["patch_embed.proj.weight"] = torch.empty(48, 6, 3, 3, device="meta")
    weights["skip_conv.weight"] = torch.empty(96, 48, 1, 1, device="meta")

    assert sum(value.numel() for value in weights.values()) == 26_132_548
    with pytest.raises(
        WeightsError, match=r"pair of dual-pixel views; give those of one that takes a single"
    ):
        Restormer.options_of_official(weights)
    assert Restormer.options_of_official({"skip_conv.weight": torch.empty(1)}) is None


def test_places_are_those_of_the_paper():
    with torch.device("meta"):
        network = Restormer()

    assert [tuple(place) for place in network.places] == [(384, 8, 8), (192, 4, 4), (96, 2, 2), (96, 1, 1)]


def test_costs_what_the_paper_says():
    """140.99 G multiplications in convolutions at 256 x 256."""
    with torch.device("meta"):
        network = Restormer()
    projections = 0

    def count(module, inputs):
        nonlocal projections  # folded into attention: no convolution any more, but the same cost
        projections += inputs[0].numel() * inputs[0].shape[1]

    for module in network.modules():
        if isinstance(module, ChannelAttention):
            module.register_forward_pre_hook(count)

    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, 256, 256, device="meta"))

    convolutions = counter.get_flop_counts()["Global"][torch.ops.aten.convolution] / 2
    assert round((convolutions + projections) / 1e9, 2) == 140.99


def test_wrong_options_are_named():
    with pytest.raises(ValueError, match="3 depths need as many heads, got 4"):
        Restormer(dim=8, depths=(1, 1, 1))
    with pytest.raises(ValueError, match="expected 1 or 3 colors, got 6"):
        Restormer(**Restormer.tiny, colors=6)
