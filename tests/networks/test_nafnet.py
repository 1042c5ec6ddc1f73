import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from dino_ir.networks.nafnet import NAFNet

GOPRO = {"encoder": (1, 1, 1, 28), "middle": 1, "decoder": (1, 1, 1, 1)}
SIDD = {"encoder": (2, 2, 4, 8), "middle": 12, "decoder": (2, 2, 2, 2)}


def official_block(channels: int) -> dict[str, tuple[int, ...]]:
    convolutions: dict[str, tuple[int, int, int, int]] = {
        "conv1": (2 * channels, channels, 1, 1),
        "conv2": (2 * channels, 1, 3, 3),
        "sca.1": (channels, channels, 1, 1),
        "conv3": (channels, channels, 1, 1),
        "conv4": (2 * channels, channels, 1, 1),
        "conv5": (channels, channels, 1, 1),
    }
    shapes: dict[str, tuple[int, ...]] = {"beta": (1, channels, 1, 1), "gamma": (1, channels, 1, 1)}
    shapes |= {f"norm{half}.{kind}": (channels,) for half in (1, 2) for kind in ("weight", "bias")}
    shapes |= {f"{name}.weight": shape for name, shape in convolutions.items()}
    return shapes | {f"{name}.bias": shape[:1] for name, shape in convolutions.items()}


def official_weights(width: int, encoder, middle: int, decoder) -> dict[str, torch.Tensor]:
    """The names and shapes of the authors' published files, with random numbers."""
    levels = len(encoder)
    shapes: dict[str, tuple[int, ...]] = {"intro.weight": (width, 3, 3, 3), "intro.bias": (width,)}
    shapes |= {"ending.weight": (3, width, 3, 3), "ending.bias": (3,)}
    stages = [(f"encoders.{level}", width * 2**level, depth) for level, depth in enumerate(encoder)]
    stages += [("middle_blks", width * 2**levels, middle)]
    stages += [(f"decoders.{i}", width * 2 ** (levels - 1 - i), depth) for i, depth in enumerate(decoder)]
    for stage, channels, depth in stages:
        for index in range(depth):
            shapes |= {f"{stage}.{index}.{name}": shape for name, shape in official_block(channels).items()}
    for level in range(levels):
        channels = width * 2**level
        shapes |= {f"downs.{level}.weight": (2 * channels, channels, 2, 2)}
        shapes |= {f"downs.{level}.bias": (2 * channels,)}
        shapes |= {f"ups.{levels - 1 - level}.0.weight": (4 * channels, 2 * channels, 1, 1)}
    return {name: torch.randn(shape) * 0.3 for name, shape in shapes.items()}


def reference_block(weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """One block, from the paper's figure 3c, on the authors' names."""

    def norm(x, name):
        mean, variance = x.mean(1, keepdim=True), x.var(1, correction=0, keepdim=True)
        weight, bias = (weights[f"{name}.{kind}"].view(1, -1, 1, 1) for kind in ("weight", "bias"))
        return (x - mean) / (variance + 1e-6).sqrt() * weight + bias

    def conv(x, name, **options):
        return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], **options)

    def gate(x):
        return x[:, : x.shape[1] // 2] * x[:, x.shape[1] // 2 :]

    y = conv(norm(x, "norm1"), "conv1")
    y = gate(conv(y, "conv2", padding=1, groups=y.shape[1]))
    y = conv(y * conv(y.mean((2, 3), keepdim=True), "sca.1"), "conv3")
    x = x + y * weights["beta"]
    return x + conv(gate(conv(norm(x, "norm2"), "conv4")), "conv5") * weights["gamma"]


def reference(weights: dict[str, torch.Tensor], image: torch.Tensor, levels: int) -> torch.Tensor:
    """The whole network on the authors' names, with one block a stage."""

    def stage(x, name):
        return reference_block(
            {key[len(name) + 3 :]: w for key, w in weights.items() if key.startswith(f"{name}.0.")}, x
        )

    x = F.conv2d(image, weights["intro.weight"], weights["intro.bias"], padding=1)
    skips = []
    for level in range(levels):
        x = stage(x, f"encoders.{level}")
        skips.append(x)
        x = F.conv2d(x, weights[f"downs.{level}.weight"], weights[f"downs.{level}.bias"], stride=2)
    x = stage(x, "middle_blks")
    for index in range(levels):
        x = skips.pop() + F.pixel_shuffle(F.conv2d(x, weights[f"ups.{index}.0.weight"]), 2)
        x = stage(x, f"decoders.{index}")
    return image + F.conv2d(x, weights["ending.weight"], weights["ending.bias"], padding=1)


# https://github.com/megvii-research/NAFNet
@pytest.mark.parametrize(
    ("width", "depths", "parameters"),
    [
        (32, GOPRO, 17_111_907),
        (32, SIDD, 29_159_715),
        (64, GOPRO, 67_888_835),
        (64, SIDD, 115_982_915),
    ],
)
def test_sizes_are_those_of_the_published_models(width, depths, parameters):
    with torch.device("meta"):
        network = NAFNet(width, **depths)

    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


@pytest.mark.parametrize("width", [32, 64])
@pytest.mark.parametrize("depths", [GOPRO, SIDD])
def test_the_published_files_fit(width, depths):
    with torch.device("meta"):
        network, weights = NAFNet(width, **depths), official_weights(width, **depths)

    assert len(weights) == 664
    network.load_state_dict(NAFNet.rename_official(weights), assign=True)


def test_costs_what_the_paper_says():
    """15.96 G multiplications in convolutions at 256 x 256; the channel weights fold into some of them."""
    with torch.device("meta"):
        network = NAFNet()

    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, 256, 256, device="meta"))

    assert round(counter.get_total_flops() / 2e9, 2) == 15.96


def test_restores_as_the_authors_weights_mean_it():
    torch.manual_seed(0)
    weights = official_weights(8, (1, 1), 1, (1, 1))
    network = NAFNet(8, (1, 1), 1, (1, 1))
    image = torch.rand(2, 3, 8, 12)

    network.load_state_dict(NAFNet.rename_official(weights))

    torch.testing.assert_close(network(image), reference(weights, image, 2), rtol=1e-5, atol=1e-5)


def test_is_born_with_blocks_that_do_nothing():
    network = NAFNet(**NAFNet.tiny)
    features = torch.rand(1, 8, 4, 4)

    torch.testing.assert_close(network.encoder[0](features), features, rtol=0, atol=0)


@pytest.mark.parametrize(
    "options",
    [
        {"width": 32, "encoder": [1, 1, 1, 28], "middle": 1, "decoder": [1, 1, 1, 1]},
        {"width": 64, "encoder": [2, 2, 4, 8], "middle": 12, "decoder": [2, 2, 2, 2]},
        {"width": 8, "encoder": [1, 0, 11], "middle": 2, "decoder": [3, 12, 0]},
    ],
)
def test_options_are_read_from_the_names_and_shapes(options):
    with torch.device("meta"):
        weights = official_weights(**options)

    assert NAFNet.options_of_official(weights) == options
    with torch.device("meta"):
        network = NAFNet(**options)
    network.load_state_dict(NAFNet.rename_official(weights), assign=True)


# The authors' Baseline has the same modules but squeezes and excites; networks with a clock add a module.
@pytest.mark.parametrize(
    ("theirs", "another"),
    [("sca.1", "se.1"), ("intro.weight", "time_mlp.1.weight"), ("ending", "conv_last")],
)
def test_weights_of_another_network_are_not_recognised(theirs, another):
    weights = {
        name.replace(theirs, another): value for name, value in official_weights(8, (1, 1), 1, (1, 1)).items()
    }

    assert NAFNet.options_of_official(weights) is None
    assert NAFNet.options_of_official({}) is None


def test_encoder_and_decoder_need_as_many_levels():
    with pytest.raises(ValueError, match="2 encoder levels need as many decoder levels, got 1"):
        NAFNet(8, (1, 1), 1, (1,))
