import re

import torch

from dino_ir.demo import DAMAGE, demonstrate, read_photos
from dino_ir.files.images import read_rgb
from dino_ir.restorers.identity import Identity


def photos():
    rng = torch.Generator().manual_seed(0)
    return {"one": torch.rand(3, 33, 41, generator=rng), "two": torch.rand(3, 41, 33, generator=rng)}


def test_every_photo_suffers_every_damage(tmp_path):
    lines = list(demonstrate(Identity(), tmp_path, photos()))

    assert [line.split()[:2] for line in lines[:-1]] == [
        [name, damage] for name in ("one", "two", "mean") for damage in DAMAGE
    ]


def test_each_damage_is_seen_in_the_scores_and_identity_leaves_it(tmp_path):
    lines = list(demonstrate(Identity(), tmp_path, photos()))

    for line in lines[:-1]:
        before, after = map(float, re.findall(r"PSNR +([\d.]+) -> +([\d.]+) dB", line)[0])
        assert before < 30
        assert abs(after - before) < 0.1  # rounded to 8 bits and clipped, no more


def test_a_sheet_is_written_for_each_photo_and_the_last_line_says_where(tmp_path):
    *_, last = demonstrate(Identity(), tmp_path / "demo", photos())

    for name, photo in photos().items():
        path = tmp_path / "demo" / f"{name}.jpg"
        height, width = read_rgb(path).shape[1:]
        assert str(path) in last
        assert height >= len(DAMAGE) * photo.shape[1]
        assert width >= 3 * photo.shape[2]


def test_the_demo_is_the_same_every_time(tmp_path):
    first = list(demonstrate(Identity(), tmp_path, photos()))

    assert list(demonstrate(Identity(), tmp_path, photos())) == first


def test_the_photos_come_in_colour():
    pictures = read_photos()

    assert len(pictures) == 4
    assert all(picture.shape[0] == 3 for picture in pictures.values())
    assert all(picture.std(0).mean() > 0.01 for picture in pictures.values())  # grey would have no spread
