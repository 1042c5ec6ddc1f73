"""What every dataset promises, over the catalog."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from dino_ir import catalog


def save(path, shape=(5, 7, 3), dtype=np.uint8):
    path.parent.mkdir(parents=True, exist_ok=True)
    top = np.iinfo(dtype).max
    seed = list(str(path.name).encode())
    Image.fromarray(np.random.default_rng(seed).integers(1, top, shape, dtype, endpoint=True)).save(path)


def lay_out_clean(root):
    for name in ("b.png", "a.jpg", "sub/a.PNG", "sub/deep/é ü.png", "10.png", "9.png"):
        save(root / name)


def lay_out_depth(root):
    for name in ("b", "a", "sub/a"):
        save(root / f"{name}_clean.png")
        save(root / f"{name}_depth_x5000.png", (5, 7), np.uint16)


def lay_out_pairs(root):
    for name in ("b.png", "a.png", "sub/a.png"):
        save(root / "input" / name)
        save(root / "target" / name)


def lay_out_published(root):
    for name in ("b.png", "a.png", "sub/a.png"):
        save(root / "our485" / "low" / name)
        save(root / "our485" / "high" / name)
    return {"set": "lol", "split": "train"}


LAYOUTS = {
    "clean_folder": lay_out_clean,
    "depth_folder": lay_out_depth,
    "paired_folder": lay_out_pairs,
    "published": lay_out_published,
}
"""How to make the folder that a dataset reads by default; it returns the options that the dataset needs."""


@pytest.fixture(params=catalog.names("datasets"))
def table(request, tmp_path):
    options = LAYOUTS[request.param](tmp_path) or {}
    return {"name": request.param, "root": str(tmp_path), **options}


def items(dataset):
    return [dataset[i] for i in range(len(dataset))]


def is_same(one, other):
    """Whether two pairs hold the same name and the same pictures."""
    return one.name == other.name and all(
        (a is None and b is None) or torch.equal(a, b) for a, b in zip(one[1:], other[1:])
    )


def test_the_order_is_stable(table):
    first, second = catalog.build("datasets", table), catalog.build("datasets", table)

    assert all(map(is_same, items(first), items(second)))
    assert all(map(is_same, items(first), items(first)))


def test_names_are_unique_and_sorted_folder_by_folder(table):
    names = [pair.name for pair in items(catalog.build("datasets", table))]

    assert len(set(names)) == len(names) >= 3
    assert names == sorted(names, key=lambda name: name.split("/"))


def test_pictures_of_a_pair_have_one_size(table):
    for pair in items(catalog.build("datasets", table)):
        assert pair.clean.shape == (3, 5, 7)
        assert pair.degraded is None or pair.degraded.shape == (3, 5, 7)
        assert pair.depth is None or pair.depth.shape == (1, 5, 7)


def test_pictures_are_bytes_and_depths_are_finite_floats(table):
    for pair in items(catalog.build("datasets", table)):
        assert pair.clean.dtype == torch.uint8
        assert pair.degraded is None or pair.degraded.dtype == torch.uint8
        assert pair.depth is None or (pair.depth.dtype == torch.float32 and pair.depth.isfinite().all())


def test_a_dataset_ends(table):
    dataset = catalog.build("datasets", table)

    with pytest.raises(IndexError):
        dataset[len(dataset)]


def test_a_dataset_survives_the_way_to_a_worker(table):
    dataset = catalog.build("datasets", table)

    sent = pickle.loads(pickle.dumps(dataset))

    assert sent == dataset
    assert all(map(is_same, items(sent), items(dataset)))


def test_what_lies_beside_the_photos_does_not_matter(table, tmp_path):
    before = [pair.name for pair in items(catalog.build("datasets", table))]

    for folder in [tmp_path, *filter(lambda path: path.is_dir(), tmp_path.iterdir())]:
        (folder / "readme.txt").write_text("not a photo")
        (folder / ".hidden.png").write_bytes(b"not a photo")

    assert [pair.name for pair in items(catalog.build("datasets", table))] == before
