import hashlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch

from dino_ir.errors import WeightsError
from dino_ir.published import fetch, find_published, need_published, published, verify

NAME = "dinov2_vits14"
ENTRY = published()[NAME]
COMMIT = "c" * 40
CONTENT = b"tensors"
TOTAL = hashlib.sha256(CONTENT).hexdigest()

# Width, depth and the parameters of a block's feed-forward layers, of width 4 or gated.
SIZES = {
    "s": (384, 12, lambda w: 8 * w * w + 5 * w),
    "b": (768, 12, lambda w: 8 * w * w + 5 * w),
    "l": (1024, 24, lambda w: 8 * w * w + 5 * w),
    "g": (1536, 40, lambda w: 8192 * w + 8192 + w * 4096 + w),
}


@pytest.fixture
def caches(tmp_path, monkeypatch):
    """The folder of two empty caches, hub/ and torch/."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


@pytest.fixture
def hub(caches, monkeypatch):
    """A hub that has one file: what it states of it, and the addresses it was asked for."""

    def download(repository, file):
        remote.asked.append((repository, file))
        return str(put_into_hub_cache(caches, remote.content, remote.etag))

    def state(address):
        remote.asked.append(address)
        return remote

    remote = SimpleNamespace(content=CONTENT, size=len(CONTENT), etag=TOTAL, asked=[])
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", state)
    return remote


def put_into_hub_cache(caches, content, stated):
    """A file as the hub's own client lays it down."""
    top = caches / "hub" / f"models--{ENTRY.repository.replace('/', '--')}"
    link = top / "snapshots" / COMMIT / ENTRY.file
    for path in (top / "blobs" / stated, top / "refs/main", link):
        path.parent.mkdir(parents=True, exist_ok=True)
    (top / "blobs" / stated).write_bytes(content)
    (top / "refs/main").write_text(COMMIT)
    link.symlink_to(f"../../blobs/{stated}")
    return link


def put_into_torch_hub():
    path = Path(torch.hub.get_dir(), "checkpoints", ENTRY.official)
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize("name", published())
def test_the_parameters_are_those_of_the_architecture(name):
    width, depth, feed_forward = SIZES[name.removeprefix("dinov2_vit")[0]]
    block = 4 * width + 4 * width * width + 4 * width + 2 * width  # norms, attention, layer scales
    position, patches = (1 + 37 * 37) * width, 3 * 14 * 14 * width + width
    tokens = (6 if name.endswith("_reg") else 2) * width  # class, mask and registers

    count = depth * (block + feed_forward(width)) + position + patches + tokens + 2 * width

    assert published()[name].parameters == count


def test_no_two_names_share_a_file():
    files = [file for entry in published().values() for file in (entry.repository, entry.official)]

    assert len(set(files)) == len(files) == 16


def test_the_hubs_cache_comes_before_torch_hubs_folder(caches):
    nowhere = find_published(NAME)
    official = put_into_torch_hub()
    in_torch_hub = find_published(NAME)
    link = put_into_hub_cache(caches, CONTENT, TOTAL)

    assert (nowhere, in_torch_hub, find_published(NAME)) == (None, official, link)


@pytest.mark.parametrize(("variable", "folder"), [("XDG_CACHE_HOME", "caches"), ("HOME", "home")])
def test_torch_hubs_folder_is_where_torch_has_it(caches, monkeypatch, variable, folder):
    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv(variable, str(caches / folder))

    official = put_into_torch_hub()

    assert official.is_relative_to(caches / folder)
    assert find_published(NAME) == official


def test_what_is_not_here_says_how_to_get_it(caches):
    with pytest.raises(
        WeightsError, match=rf"{NAME} is not on this machine: run dino-ir weights fetch {NAME}"
    ):
        need_published(NAME)


@pytest.mark.parametrize("function", [find_published, fetch, verify])
def test_unknown_names_list_the_known(function):
    with pytest.raises(WeightsError, match=r"no published weights 'dinov3'; there are: dinov2_vits14, "):
        function("dinov3")


@pytest.mark.parametrize(("content", "is_whole"), [(CONTENT, True), (b"tensorz", False)])
def test_a_file_in_the_hubs_cache_is_compared_with_what_was_stated(caches, content, is_whole):
    put_into_hub_cache(caches, content, TOTAL)

    assert verify(NAME) is is_whole


def test_a_cache_that_links_on_to_a_store_still_says_what_was_stated(caches):
    blob = put_into_hub_cache(caches, CONTENT, TOTAL).resolve()
    blob.rename(caches / ("f" * 64))
    blob.symlink_to(caches / ("f" * 64))

    assert verify(NAME) is True


def test_nothing_is_stated_of_a_file_in_torch_hubs_folder_or_of_a_copy(caches):
    put_into_torch_hub()
    official = verify(NAME)
    link = put_into_hub_cache(caches, CONTENT, TOTAL)
    link.resolve().rename(caches / "copy")
    (caches / "copy").replace(link)

    assert official is None
    assert find_published(NAME) == link
    assert verify(NAME) is None


def test_what_is_fetched_is_found_and_verified(hub):
    path = fetch(NAME)

    assert path.read_bytes() == CONTENT
    assert find_published(NAME) == path
    assert verify(NAME) is True
    assert hub.asked[1] == (ENTRY.repository, "model.safetensors")
    assert hub.asked[0].endswith(f"/{ENTRY.repository}/resolve/main/model.safetensors")


@pytest.mark.parametrize(("key", "value"), [("size", 8), ("size", None), ("etag", "0" * 64)])
def test_a_download_that_is_not_what_was_stated_stays_and_is_named(hub, caches, key, value):
    setattr(hub, key, value)

    with pytest.raises(WeightsError, match=rf"is not what the hub states.*: remove .*/blobs/.*fetch {NAME}"):
        fetch(NAME)

    assert find_published(NAME).read_bytes() == CONTENT


def test_what_is_here_is_not_fetched_again(hub, caches):
    official = put_into_torch_hub()
    first = fetch(NAME)
    link = put_into_hub_cache(caches, CONTENT, TOTAL)

    assert (first, fetch(NAME)) == (official, link)
    assert hub.asked == []


def test_a_damaged_file_is_named_with_what_to_remove(hub, caches):
    blob = put_into_hub_cache(caches, b"tensorz", TOTAL).resolve()

    with pytest.raises(WeightsError, match=rf"is damaged: remove {blob} and fetch {NAME} again"):
        fetch(NAME)

    assert blob.exists()


def test_without_a_network_the_file_and_its_place_are_named(hub, caches, monkeypatch):
    def fail(_address):
        raise ConnectionError("no route to the hub\nand more")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", fail)

    with pytest.raises(WeightsError) as caught:
        fetch(NAME)

    assert str(caught.value) == (
        f"{NAME} cannot be fetched (no route to the hub): put dinov2_vits14_pretrain.pth into "
        f"{caches}/torch/hub/checkpoints, or name a file by restorer.prior.weights=FILE in the recipe"
    )


def test_the_hubs_client_is_not_loaded_before_it_is_needed():
    code = "import dino_ir.cli, dino_ir.files.weights, sys; print('huggingface_hub' in sys.modules)"

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert shown.strip() == "False"
