import json

import pytest
import torch

from dino_ir.account import Change, describe, measure_change
from dino_ir.metrics.psnr import PSNR


def photos():
    rng = torch.Generator().manual_seed(0)
    return torch.rand(3, 40, 30, generator=rng), torch.rand(3, 40, 30, generator=rng)


def test_a_change_by_hand():
    degraded, restored = torch.zeros(3, 1, 2), torch.zeros(3, 1, 2)
    restored[0, 0, 0] = 51 / 255

    levels = measure_change(degraded, restored).levels()

    assert levels == {"mean": 8.5, "largest": 51.0, "psnr": pytest.approx(21.76)}  # 10 log10(6 * 25)


def test_no_change_has_no_psnr():
    photo, _ = photos()

    assert measure_change(photo, photo).levels() == {"mean": 0.0, "largest": 0.0, "psnr": None}
    assert Change().levels() == {"mean": 0.0, "largest": 0.0, "psnr": None}


def test_psnr_is_the_metric():
    one, other = photos()

    expected = PSNR()(one[None], other[None]).item()

    assert measure_change(one, other).levels()["psnr"] == pytest.approx(expected, abs=0.005)


def test_parts_together_tell_of_the_whole():
    one, other = photos()

    joined = Change()
    for top, bottom in ((0, 7), (7, 8), (8, 40)):
        joined = joined.joined(measure_change(one[:, top:bottom], other[:, top:bottom]))

    assert joined == pytest.approx(measure_change(one, other), rel=1e-6)


def test_the_difference_has_no_sign():
    one, other = photos()

    assert measure_change(one, other) == measure_change(other, one)


@pytest.mark.parametrize("found", [None, {}, {"noise": 24.987, "haze": 0.33333}])
def test_a_record_survives_json_and_holds_what_it_was_given(found):
    change = measure_change(*photos())

    record = describe((40, 30), found, change, 1.23456, 123_456_789, ["its EXIF was left out"])

    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert (record["width"], record["height"]) == (30, 40)
    assert record["found"] == (found and {"noise": 25.0, "haze": 0.333})
    assert record["change"] == change.levels()
    assert (record["seconds"], record["peak_memory_mb"]) == (1.235, 123)
    assert record["warnings"] == ["its EXIF was left out"]
