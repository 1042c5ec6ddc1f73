import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from dino_ir.layers.vit import VisionTransformer
from dino_ir.priors.dinov2 import DINOv2

NARROW = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}

# Of transformers' names in memory, and those in the files it publishes.
HUB = {
    "attention.q_proj": "attention.attention.query",
    "attention.k_proj": "attention.attention.key",
    "attention.v_proj": "attention.attention.value",
    "attention.o_proj": "attention.output.dense",
    "mlp.down_proj": "mlp.weights_out",
}


def foreign(registers=False, **config):
    """Transformers' DINOv2 with random weights, biases, layer scales and positions."""
    transformers = pytest.importorskip("transformers")
    kind = "Dinov2WithRegisters" if registers else "Dinov2"
    settings = getattr(transformers, f"{kind}Config")(image_size=518, patch_size=14, **config)
    torch.manual_seed(0)
    model = getattr(transformers, f"{kind}Model")(settings).eval()
    for name, parameter in model.named_parameters():
        is_gain = "lambda" in name or ("norm" in name and name.endswith("weight"))
        torch.nn.init.normal_(
            parameter, mean=1.0 if is_gain else 0.0, std=0.3 if parameter.ndim != 2 else 0.06
        )
    return model.requires_grad_(False)


def alike(model):
    """Our prior with the sizes and the weights of transformers' model."""
    config = model.config
    prior = DINOv2("tiny", registers=hasattr(config, "num_register_tokens"))
    prior.vit = VisionTransformer(
        config.hidden_size,
        config.num_hidden_layers,
        config.num_attention_heads,
        patch=config.patch_size,
        grid=config.image_size // config.patch_size,
        registers=getattr(config, "num_register_tokens", 0),
        position=prior.vit.position,
        gated=config.use_swiglu_ffn,
    )
    prior.load_state_dict(DINOv2.rename_published(model.state_dict()))
    return prior.train()


def blocks_of(model, image):
    """The normed patch tokens after each block of transformers' model, as maps."""
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    states = model((image - mean) / deviation, output_hidden_states=True).hidden_states[1:]
    grid = (image.shape[-2] // 14, image.shape[-1] // 14)
    extra = 1 + getattr(model.config, "num_register_tokens", 0)
    return [model.layernorm(state)[:, extra:].transpose(1, 2).unflatten(2, grid) for state in states]


def assert_every_block_is_equal(prior, model, image):
    expected = blocks_of(model, image)
    maps = prior.blocks(image, range(len(expected)))

    for ours, theirs in zip(maps, expected):
        assert (ours - theirs).abs().max() < 1e-5


def official_positions(pos_embed, height, width):
    """The rule of the authors' code for models without registers."""
    if (height, width) == (37, 37):
        return pos_embed
    scale = ((height + 0.1) / 37, (width + 0.1) / 37)
    native = pos_embed[:, 1:].reshape(1, 37, 37, -1).permute(0, 3, 1, 2)
    fitted = F.interpolate(native, scale_factor=scale, mode="bicubic", antialias=False)
    return torch.cat((pos_embed[:, :1], fitted.permute(0, 2, 3, 1).flatten(1, 2)), dim=1)


def as_in_the_hub(state):
    """Names and tensors of transformers' files, from those in memory."""
    files = {}
    for name, value in state.items():
        for memory, file in HUB.items():
            name = name.replace(memory, file)
        if "mlp.gate_proj" in name:
            value = torch.cat((value, state[name.replace("gate_proj", "up_proj")]))
        if "mlp.up_proj" not in name:
            files[name.replace("mlp.gate_proj", "mlp.weights_in")] = value
    return files


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


# parameters, keys, width, heads: facebookresearch/dinov2
@pytest.mark.parametrize("registers", [False, True])
@pytest.mark.parametrize(
    ("size", "parameters", "keys", "width", "heads"),
    [
        ("small", 22_056_576, 175, 384, 6),
        ("base", 86_580_480, 175, 768, 12),
        ("large", 304_368_640, 343, 1024, 16),
        ("giant", 1_136_480_768, 567, 1536, 24),
    ],
)
def test_sizes_are_the_published(size, parameters, keys, width, heads, registers):
    with torch.device("meta"):
        prior = DINOv2(size, registers)

    assert sum(value.numel() for value in prior.state_dict().values()) == parameters + 4 * width * registers
    assert len(prior.state_dict()) == keys + registers
    assert prior.channels == (width,) * 3
    assert {block.attn.heads for block in prior.vit.blocks} == {heads}


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "dinov2_vitb14"),
        ({"size": "small"}, "dinov2_vits14"),
        ({"size": "large", "registers": True}, "dinov2_vitl14_reg"),
        ({"size": "giant"}, "dinov2_vitg14"),
        ({"size": "giant", "weights": "a/file.pth"}, "a/file.pth"),
        ({"size": "tiny"}, None),
        ({"size": "tiny", "weights": "a/file.pth"}, "a/file.pth"),
    ],
)
def test_weights_are_the_published_unless_a_file_is_named(options, name):
    with torch.device("meta"):
        assert DINOv2(**options).pretrained == name


@pytest.mark.parametrize(
    ("size", "layers"),
    [("small", (2, 6, 11)), ("base", (2, 6, 11)), ("large", (5, 13, 23)), ("giant", (9, 22, 39))],
)
def test_default_layers_are_shallow_halfway_and_last(size, layers):
    with torch.device("meta"):
        assert DINOv2(size).layers == layers


@torch.no_grad()
@pytest.mark.parametrize("registers", [False, True])
def test_small_equals_the_other_implementation_in_every_block(registers):
    model = foreign(registers, hidden_size=384, num_hidden_layers=12, num_attention_heads=6)
    prior = DINOv2("small", registers)

    prior.load_state_dict(DINOv2.rename_published(model.state_dict()))

    assert_every_block_is_equal(prior, model, torch.rand(1, 3, 518, 518))


@torch.no_grad()
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize(("height", "width"), [(224, 308), (126, 126)])
def test_with_registers_it_is_equal_at_any_size(height, width, gated):
    model = foreign(registers=True, use_swiglu_ffn=gated, **NARROW)

    assert_every_block_is_equal(alike(model), model, torch.rand(2, 3, height, width))


@torch.no_grad()
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize(("height", "width"), [(224, 308), (126, 126)])
def test_without_registers_it_is_equal_once_positions_are_the_authors(height, width, gated, monkeypatch):
    model = foreign(use_swiglu_ffn=gated, **NARROW)
    positions = official_positions(model.embeddings.position_embeddings, height // 14, width // 14)
    monkeypatch.setattr(model.embeddings, "interpolate_pos_encoding", lambda *_: positions)

    assert_every_block_is_equal(alike(model), model, torch.rand(2, 3, height, width))


@pytest.mark.parametrize("grid", [(9, 9), (16, 22), (37, 37), (37, 38), (1, 1369)])
def test_positions_are_fitted_as_the_authors_fit_them(grid):
    prior = DINOv2("tiny")
    state = {name: torch.zeros_like(value) for name, value in prior.state_dict().items()}
    state["vit.pos_embed"] = torch.randn(1, 1370, 16)
    prior.load_state_dict(state)  # nothing is left of the image and of the blocks

    (map_,) = prior.vit(torch.rand(1, 3, 14 * grid[0], 14 * grid[1]), (2,), norm=False)

    expected = official_positions(state["vit.pos_embed"], *grid)[:, 1:]
    torch.testing.assert_close(map_.flatten(2).transpose(1, 2), expected, rtol=0, atol=0)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("registers", [False, True])
def test_all_names_that_transformers_uses_are_known(registers, gated, tmp_path):
    model = foreign(registers, use_swiglu_ffn=gated, **NARROW)
    own = alike(model).state_dict()
    hub = as_in_the_hub(model.state_dict())
    prefix = "dinov2_with_registers." if registers else "dinov2."
    model.save_pretrained(tmp_path)

    assert same(hub, load_file(tmp_path / "model.safetensors"))
    for names in (hub, {prefix + name: value for name, value in hub.items()}, model.state_dict(), own):
        assert same(DINOv2.rename_published(names), own)


@pytest.mark.parametrize("registers", [False, True])
def test_the_names_of_the_authors_are_known(registers):
    prior = DINOv2("tiny", registers)
    authors = prior.vit.state_dict()

    assert {"mask_token", "pos_embed", "patch_embed.proj.weight", "blocks.2.attn.qkv.bias"} <= authors.keys()
    assert same(DINOv2.rename_published(authors), prior.state_dict())


def test_what_is_left_over_or_missing_is_refused():
    prior = DINOv2("tiny")
    state = prior.vit.state_dict()
    query, key, value = state.pop("blocks.1.attn.qkv.bias").chunk(3)
    split = "blocks.1.attention.attention"
    whole = {**state, f"{split}.query.bias": query, f"{split}.key.bias": key, f"{split}.value.bias": value}
    without = {name: tensor for name, tensor in whole.items() if not name.endswith("key.bias")}

    prior.load_state_dict(DINOv2.rename_published(whole))
    with pytest.raises(RuntimeError, match=r"Missing.*blocks\.1\.attn\.qkv\.bias"):
        prior.load_state_dict(DINOv2.rename_published(without))
    with pytest.raises(RuntimeError, match=r"Unexpected.*classifier\.weight"):
        prior.load_state_dict(DINOv2.rename_published({**whole, "classifier.weight": query}))


def test_the_embedding_is_of_the_image_as_imagenet_normalises_it():
    prior = DINOv2("tiny")
    normal = torch.randn(1, 3, 28, 42)
    image = normal * torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    image = image + torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)

    torch.testing.assert_close(prior.embed(image), prior.vit.embed(normal), rtol=1e-4, atol=1e-5)


def test_unknown_sizes_and_layers_are_refused():
    with pytest.raises(ValueError, match="size must be one of tiny, small, base, large, giant, got 'huge'"):
        DINOv2("huge")
    with pytest.raises(ValueError, match="from 0 to 2, got \\[3\\]"):
        DINOv2("tiny", layers=(3,))
    with pytest.raises(ValueError, match="from 0 to 2, got \\[\\]"):
        DINOv2("tiny", layers=())


def test_sides_must_divide_by_the_patch():
    with pytest.raises(ValueError, match="divide by 14"):
        DINOv2("tiny")(torch.rand(1, 3, 28, 32))
