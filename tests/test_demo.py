import torch

from dino_ir.demo import DAMAGE, demonstrate, read_photos, sheet_path
from dino_ir.files.images import read_rgb
from dino_ir.restorers.identity import Identity


def photos():
    rng = torch.Generator().manual_seed(0)
    return {"one": torch.rand(3, 33, 41, generator=rng), "two": torch.rand(3, 41, 33, generator=rng)}


def test_every_photo_suffers_every_damage(tmp_path):
    results = list(demonstrate(Identity(), photos(), tmp_path))

    assert [(row.image, damage) for damage, row in results] == [
        (name, damage) for name in ("one", "two") for damage in DAMAGE
    ]
    assert all(row.input_scores["psnr"] < 35 for _, row in results)


def test_a_sheet_is_written_for_each_photo(tmp_path):
    for _ in demonstrate(Identity(), photos(), tmp_path / "demo"):
        pass

    for name, photo in photos().items():
        height, width = read_rgb(sheet_path(tmp_path / "demo", name)).shape[1:]
        assert height >= len(DAMAGE) * photo.shape[1]
        assert width >= 3 * photo.shape[2]


def test_the_demo_is_the_same_every_time(tmp_path):
    first = [row.input_scores for _, row in demonstrate(Identity(), photos(), tmp_path)]

    second = [row.input_scores for _, row in demonstrate(Identity(), photos(), tmp_path)]

    assert first == second


def test_the_photos_come_in_colour():
    pictures = read_photos()

    assert len(pictures) == 4
    assert all(picture.shape[0] == 3 for picture in pictures.values())
    assert all(picture.std(0).mean() > 0.01 for picture in pictures.values())  # grey would have no spread
