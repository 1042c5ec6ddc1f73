import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from dino_ir.layers.channel_attention import ChannelAttention
from dino_ir.networks.restormer import Restormer

DEPTHS = {"encoder_level1": 4, "encoder_level2": 6, "encoder_level3": 6, "latent": 8}
DEPTHS |= {"decoder_level3": 6, "decoder_level2": 6, "decoder_level1": 4, "refinement": 4}
WIDTHS = {"encoder_level1": 48, "encoder_level2": 96, "encoder_level3": 192, "latent": 384}
WIDTHS |= {"decoder_level3": 192, "decoder_level2": 96, "decoder_level1": 96, "refinement": 96}
HEADS = {"encoder_level1": 1, "encoder_level2": 2, "encoder_level3": 4, "latent": 8}
HEADS |= {"decoder_level3": 4, "decoder_level2": 2, "decoder_level1": 1, "refinement": 1}


def official_block(channels: int, heads: int, bias: bool) -> dict[str, tuple[int, ...]]:
    hidden = int(channels * 2.66)
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


def official_weights(bias: bool) -> dict[str, torch.Tensor]:
    """The names and shapes of the authors' published files, without their numbers."""
    shapes: dict[str, tuple[int, ...]] = {
        "patch_embed.proj.weight": (48, 3, 3, 3),
        "down1_2.body.0.weight": (24, 48, 3, 3),
        "down2_3.body.0.weight": (48, 96, 3, 3),
        "down3_4.body.0.weight": (96, 192, 3, 3),
        "up4_3.body.0.weight": (768, 384, 3, 3),
        "up3_2.body.0.weight": (384, 192, 3, 3),
        "up2_1.body.0.weight": (192, 96, 3, 3),
        "reduce_chan_level3.weight": (192, 384, 1, 1),
        "reduce_chan_level2.weight": (96, 192, 1, 1),
        "output.weight": (3, 96, 3, 3),
    }
    for stage, depth in DEPTHS.items():
        for index in range(depth):
            block = official_block(WIDTHS[stage], HEADS[stage], bias)
            shapes |= {f"{stage}.{index}.{name}": shape for name, shape in block.items()}
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def reference_block(weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """One block on the authors' names, from the paper's equations 1 and 2."""

    def norm(x, name):
        deviation = (x.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
        if f"{name}.body.bias" not in weights:
            return x / deviation * weights[f"{name}.body.weight"].view(-1, 1, 1)
        standard = (x - x.mean(1, keepdim=True)) / deviation
        return standard * weights[f"{name}.body.weight"].view(-1, 1, 1) + weights[f"{name}.body.bias"].view(
            -1, 1, 1
        )

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
        for index in range(DEPTHS[name]):
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


# https://github.com/swz30/Restormer: deraining and Gaussian colour denoising
@pytest.mark.parametrize(
    ("norm_bias", "parameters", "keys"), [(True, 26_126_644, 494), (False, 26_111_668, 406)]
)
def test_the_published_size_and_files_fit(norm_bias, parameters, keys):
    with torch.device("meta"):
        network = Restormer(norm_bias=norm_bias)
    weights = official_weights(norm_bias)

    network.load_state_dict(Restormer.rename_official(weights), assign=True)

    assert len(weights) == keys
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


@pytest.mark.parametrize("norm_bias", [True, False])
def test_restores_as_the_authors_weights_mean_it(norm_bias):
    torch.manual_seed(0)
    weights = {
        name: torch.randn(value.shape) * (0.5 * value[0].numel() ** -0.5 if value.ndim == 4 else 1)
        for name, value in official_weights(norm_bias).items()
    }
    network = Restormer(norm_bias=norm_bias)
    image = torch.rand(1, 3, 16, 24)

    network.load_state_dict(Restormer.rename_official(weights))

    torch.testing.assert_close(network(image), reference(weights, image), rtol=1e-5, atol=1e-5)


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


def test_every_level_needs_heads():
    with pytest.raises(ValueError, match="3 depths need as many heads, got 4"):
        Restormer(dim=8, depths=(1, 1, 1))
