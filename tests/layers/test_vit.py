import math

import pytest
import torch
from torch.nn import functional as F

from dino_ir.layers.vit import PositionResize, VisionTransformer


def small(**options) -> VisionTransformer:
    torch.manual_seed(0)
    return VisionTransformer(**{"width": 16, "depth": 3, "heads": 2, "patch": 4, "grid": 4, **options})


def reference(vit: VisionTransformer, image: torch.Tensor, blocks: int) -> torch.Tensor:
    """The tokens after some blocks, from the papers' formulas, without torch's attention, norm and GELU."""

    def norm(x, layer):
        centred = x - x.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt() * layer.weight + layer.bias

    x = (
        F.unfold(image, vit.patch, stride=vit.patch).transpose(1, 2)
        @ vit.patch_embed.proj.weight.flatten(1).T
    )
    x = torch.cat((vit.cls_token, x + vit.patch_embed.proj.bias), dim=1) + vit.pos_embed
    if vit.register_tokens is not None:
        x = torch.cat((x[:, :1], vit.register_tokens, x[:, 1:]), dim=1)
    for block in vit.blocks[:blocks]:
        q, k, v = (norm(x, block.norm1) @ block.attn.qkv.weight.T + block.attn.qkv.bias).chunk(3, dim=2)
        heads = []
        for q_head, k_head, v_head in zip(*(part.chunk(block.attn.heads, dim=2) for part in (q, k, v))):
            scores = q_head @ k_head.transpose(1, 2) / math.sqrt(q_head.shape[2])
            heads.append(scores.softmax(dim=2) @ v_head)
        x = x + block.ls1.gamma * (torch.cat(heads, dim=2) @ block.attn.proj.weight.T + block.attn.proj.bias)
        x = x + block.ls2.gamma * feed_forward(norm(x, block.norm2), block.mlp)
    return norm(x, vit.norm)


def feed_forward(x: torch.Tensor, mlp: torch.nn.Module) -> torch.Tensor:
    if hasattr(mlp, "w12"):
        half = mlp.w3.weight.shape[1]
        gate = x @ mlp.w12.weight[:half].T + mlp.w12.bias[:half]
        value = x @ mlp.w12.weight[half:].T + mlp.w12.bias[half:]
        return (gate / (1 + torch.exp(-gate)) * value) @ mlp.w3.weight.T + mlp.w3.bias
    hidden = x @ mlp.fc1.weight.T + mlp.fc1.bias
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    return hidden @ mlp.fc2.weight.T + mlp.fc2.bias


@pytest.mark.parametrize(
    ("gated", "layers"), [(False, ("mlp.fc1", "mlp.fc2")), (True, ("mlp.w12", "mlp.w3"))]
)
def test_names_are_those_of_the_published_files(gated, layers):
    leaves = ("attn.qkv", "attn.proj", "norm1", "norm2", *layers)
    block = {f"{leaf}.{kind}" for leaf in leaves for kind in ("weight", "bias")} | {"ls1.gamma", "ls2.gamma"}
    outside = {"cls_token", "pos_embed", "register_tokens", "mask_token"}
    outside |= {f"{name}.{kind}" for name in ("patch_embed.proj", "norm") for kind in ("weight", "bias")}

    names = set(small(registers=4, gated=gated).state_dict())

    assert names == outside | {f"blocks.{index}.{name}" for index in range(3) for name in block}


def test_gated_feed_forward_has_the_published_shapes():
    with torch.device("meta"):
        mlp = small(width=1536, heads=24, depth=1, gated=True).blocks[0].mlp

    shapes = {name: tuple(value.shape) for name, value in mlp.state_dict().items()}

    assert shapes["w12.weight"] == (8192, 1536)
    assert shapes["w3.weight"] == (1536, 4096)


@pytest.mark.parametrize(("registers", "gated"), [(0, False), (2, False), (0, True)])
def test_the_maps_follow_the_papers_formulas(registers, gated):
    vit = small(registers=registers, layer_scale=0.7, gated=gated)
    for parameter in vit.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    image = torch.randn(1, 3, 16, 16)

    maps = vit(image, (0, 2))

    for map_, depth in zip(maps, (1, 3)):
        expected = reference(vit, image, depth)[:, 1 + registers :]
        torch.testing.assert_close(map_.flatten(2).transpose(1, 2), expected, rtol=1e-4, atol=1e-4)


def test_runs_no_deeper_than_the_last_block_asked_for():
    vit = small()
    ran: list[int] = []
    for index, block in enumerate(vit.blocks):
        block.register_forward_hook(lambda *_, index=index: ran.append(index))

    vit(torch.randn(1, 3, 16, 16), (1,))

    assert ran == [0, 1]


def test_tokens_agree_with_the_last_map():
    vit = small(registers=2)
    image = torch.randn(2, 3, 16, 24)

    class_token, patches = vit.tokens(image)

    assert class_token.shape == (2, 16)
    torch.testing.assert_close(patches, vit(image, (2,))[0].flatten(2).transpose(1, 2))


def test_the_embedding_is_a_product_with_each_patch_alone():
    vit = small()
    torch.nn.init.normal_(vit.pos_embed)
    image = torch.randn(2, 3, 8, 12)

    embedded = vit.embed(image)

    patches = F.unfold(image, 4, stride=4).transpose(1, 2)  # [B, N, 3 * 4 * 4]
    expected = patches @ vit.patch_embed.proj.weight.flatten(1).T + vit.patch_embed.proj.bias
    torch.testing.assert_close(embedded.flatten(2).transpose(1, 2), expected, rtol=1e-4, atol=1e-5)
    assert embedded.shape == (2, 16, 2, 3)


def test_masked_patches_are_not_seen():
    vit = small()
    image = torch.randn(1, 3, 16, 16)
    other = image.clone()
    other[..., :4, 4:8] += 1
    mask = torch.arange(16)[None] == 1

    hidden, seen = vit.tokens(image, mask), vit.tokens(image)

    torch.testing.assert_close(hidden, vit.tokens(other, mask))
    assert not torch.allclose(seen[1], vit.tokens(other)[1])
    assert not torch.allclose(seen[1], hidden[1])


@pytest.mark.parametrize("position", [PositionResize(), PositionResize(0.1, False), PositionResize(0, False)])
def test_any_grid_gets_positions(position):
    vit = small(position=position)

    (map_,) = vit(torch.randn(1, 3, 12, 28), (2,))

    assert map_.shape == (1, 16, 3, 7)


def test_positions_of_one_column_are_those_of_one_row_turned():
    """`F.interpolate`, bicubic and antialiased, gives other numbers for one column than for one row."""
    vit = small()
    torch.nn.init.normal_(vit.pos_embed)
    turned = small()
    native = vit.pos_embed[:, 1:].unflatten(1, (4, 4)).transpose(1, 2).flatten(1, 2)
    turned.pos_embed.data = torch.cat((vit.pos_embed[:, :1], native), dim=1)

    column, row = vit._positions(7, 1), turned._positions(1, 7)

    torch.testing.assert_close(column, row)


def test_the_offset_of_the_published_models_scales_from_the_corner():
    vit = small(position=PositionResize(0.1, False))
    native = vit.pos_embed[:, 1:].transpose(1, 2).unflatten(2, (4, 4))
    expected = F.interpolate(native, scale_factor=(6.1 / 4, 8.1 / 4), mode="bicubic")

    image = torch.zeros(1, 3, 24, 32)
    torch.nn.init.zeros_(vit.patch_embed.proj.bias)
    for block in vit.blocks:
        torch.nn.init.zeros_(block.ls1.gamma)
        torch.nn.init.zeros_(block.ls2.gamma)
    (map_,) = vit(image, (0,), norm=False)

    torch.testing.assert_close(map_, expected)


def test_gradients_reach_the_image():
    image = torch.randn(1, 3, 16, 20, requires_grad=True)

    small()(image, (1,))[0].square().sum().backward()

    assert image.grad is not None
    assert image.grad.abs().sum() > 0


@pytest.mark.parametrize("blocks", [(), (3,), (-1,)])
def test_blocks_that_do_not_exist_are_refused(blocks):
    with pytest.raises(ValueError, match="blocks must be from 0 to 2"):
        small()(torch.randn(1, 3, 16, 16), blocks)


def test_sides_must_divide_by_the_patch():
    with pytest.raises(ValueError, match="divide by 4"):
        small()(torch.randn(1, 3, 16, 18), (0,))
    with pytest.raises(ValueError, match="divide by 4"):
        small().embed(torch.randn(1, 3, 16, 18))
