import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dino_ir.errors import WeightsError
from dino_ir.priors.mobilenet_v2 import MobileNetV2


def convolutions(prior):
    return [part for part in prior.modules() if isinstance(part, nn.Conv2d)]


def as_layers(prior):
    """The tensors of a prior, named as the file has them."""
    pairs = enumerate(convolutions(prior))
    return {f"layer{i:02d}.{name}": value for i, part in pairs for name, value in part.state_dict().items()}


def test_has_the_published_number_of_weights():
    # 3 504 872 learned weights of the published network, less the classifier's and the last convolution's;
    # a batch norm has two numbers for each channel.
    weights = sum(part.weight.numel() for part in convolutions(MobileNetV2()))
    norms = 2 * sum(part.out_channels for part in convolutions(MobileNetV2()))

    assert weights + norms == 3_504_872 - 1_281_000 - (320 * 1280 + 2 * 1280)


def test_file_is_read_in_the_order_of_its_layers(tmp_path):
    torch.manual_seed(0)
    given, other = MobileNetV2(), MobileNetV2()
    torch.save({**as_layers(given), "fc.weight": torch.zeros(2)}, tmp_path / "weights.pth")

    read = MobileNetV2(str(tmp_path / "weights.pth"))

    assert all(torch.equal(one, two) for one, two in zip(read.parameters(), given.parameters()))
    assert not torch.equal(read.stem.weight, other.stem.weight)


@pytest.mark.parametrize("side", [6, 7])
def test_halving_pads_as_tensorflow_does(side):
    """TensorFlow's "same": ceil(side / 2) outputs, the smaller half of the padding first."""
    stem = MobileNetV2().stem
    image = torch.rand(1, 3, side, side)

    out = stem(image)

    total = max((-(-side // 2) - 1) * 2 + 3 - side, 0)
    before, after = total // 2, total - total // 2
    padded = F.pad(image, (before, after, before, after))
    torch.testing.assert_close(out, F.relu6(F.conv2d(padded, stem.weight, stem.bias, stride=2)))


def test_missing_tensor_is_told(tmp_path):
    tensors = as_layers(MobileNetV2())
    del tensors["layer17.weight"]
    torch.save(tensors, tmp_path / "weights.pth")

    with pytest.raises(WeightsError, match=r"layer17\.weight"):
        MobileNetV2(str(tmp_path / "weights.pth"))


def test_refuses_layers_of_another_stride():
    with pytest.raises(ValueError, match="from 6 to 16"):
        MobileNetV2(layers=(2, 12))
