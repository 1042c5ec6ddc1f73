import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dino_ir.layers.channel_attention import ChannelAttention
from dino_ir.networks.restormer import Restormer, rename_official

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


# https://github.com/swz30/Restormer: deraining and Gaussian colour denoising
@pytest.mark.parametrize(
    ("norm_bias", "parameters", "keys"), [(True, 26_126_644, 494), (False, 26_111_668, 406)]
)
def test_the_published_size_and_files_fit(norm_bias, parameters, keys):
    with torch.device("meta"):
        network = Restormer(norm_bias=norm_bias)
    weights = official_weights(norm_bias)

    network.load_state_dict(rename_official(weights), assign=True)

    assert len(weights) == keys
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


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
