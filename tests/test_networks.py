import pytest
import torch

from dino_ir import catalog
from dino_ir.contracts import no_guide


@pytest.fixture(params=catalog.names("networks"))
def network(request):
    torch.manual_seed(0)
    part = catalog.find("networks", request.param)
    network = part(**part.tiny)
    # NAFNet's gains are born zero, which hides the rest of its blocks from every test.
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.5)
    return network


def picture(network, batch=1):
    return torch.rand(batch, 3, 2 * network.multiple_of, 3 * network.multiple_of)


def test_keeps_the_shape(network):
    image = picture(network, batch=2)

    assert network(image).shape == image.shape


def test_every_parameter_learns(network):
    network(picture(network)).square().mean().backward()

    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_same_in_same_out(network):
    image = picture(network)

    torch.testing.assert_close(network(image), network(image), rtol=0, atol=0)


def test_each_image_of_a_batch_is_on_its_own(network):
    images = picture(network, batch=2)
    if network.takes_one_photo:  # the other piece has a say in the weights: let it say the same
        images = images[:1].repeat(2, 1, 1, 1)

    alone = torch.cat([network(image[None]) for image in images])

    torch.testing.assert_close(network(images), alone, rtol=1e-5, atol=1e-5)


def test_several_photos_are_restored_as_one_by_one(network):
    photos = [(picture(network), lambda _place, features, by=by: features * by) for by in (0.5, 2.0)]

    together = network.each(photos)

    for restored, (image, guide) in zip(together, photos, strict=True):
        torch.testing.assert_close(restored, network(image, guide), rtol=1e-4, atol=1e-5)


def test_the_default_guide_changes_nothing(network):
    image = picture(network)

    torch.testing.assert_close(network(image), network(image, no_guide), rtol=0, atol=0)


def test_a_guide_sees_the_declared_places_in_order(network):
    image = picture(network, batch=2)
    height, width = image.shape[-2:]
    seen: dict[int, tuple[int, ...]] = {}

    def guide(place, features):
        seen[place] = tuple(features.shape)
        return features

    network(image, guide)

    assert list(seen) == list(range(len(network.places)))
    assert list(seen.values()) == [
        (2, place.channels, height // place.stride, width // place.stride) for place in network.places
    ]


def test_places_run_from_coarse_to_fine(network):
    strides = [place.stride for place in network.places]

    assert strides == sorted(strides, reverse=True)
    assert strides[0] == network.multiple_of
    assert strides[-1] == 1
    assert all(place.channels % place.heads == 0 for place in network.places)


def test_a_guide_steers_at_every_place(network):
    image = picture(network)
    free = network(image)

    for steered in range(len(network.places)):

        def guide(place, features, steered=steered):
            return features + 0.1 if place == steered else features

        assert not torch.allclose(network(image, guide), free)


def test_its_weights_make_the_same_network_again(network):
    other = type(network)(**network.tiny)
    image = picture(network)

    other.load_state_dict(network.state_dict())

    torch.testing.assert_close(other(image), network(image), rtol=0, atol=0)


def test_the_memory_format_of_the_input_does_not_matter(network):
    image = picture(network, batch=2)

    restored = network(image.to(memory_format=torch.channels_last))

    torch.testing.assert_close(restored, network(image), rtol=1e-5, atol=1e-5)


def test_features_stay_channels_last(network):
    formats: list[bool] = []

    def guide(place, features):
        formats.append(features.is_contiguous(memory_format=torch.channels_last))
        return features

    network(picture(network, batch=2), guide)

    assert all(formats)


def test_mixed_precision_trains_and_is_near(network):
    image = picture(network, batch=2)

    with torch.autocast("cpu", torch.bfloat16):
        restored = network(image)
    restored.square().mean().backward()

    assert restored.dtype == torch.float32
    assert (restored - network(image)).norm() < 0.02 * network(image).norm()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_black_and_flat_images_give_finite_gradients(network):
    for value in (0.0, 0.5):
        image = torch.full_like(picture(network), value)

        network.zero_grad()
        network(image).square().mean().backward()

        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("whole", [False, True])
def test_the_first_levels_need_the_weights_of_their_names_and_no_others(network, whole):
    levels = len(network.places) - 1 if whole else 1
    starts = network.beginnings(levels)
    if not starts:
        pytest.skip("this network cannot begin alone")
    image = picture(network)
    first = network.begin(image, levels)

    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if not name.startswith(starts):
                parameter.fill_(torch.nan)

    for one, other in zip(network.begin(image, levels), first, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert [features.shape[1:] for features in first] == [
        (place.channels, image.shape[2] // place.stride, image.shape[3] // place.stride)
        for place in network.places[: -levels - 2 : -1]
    ]
