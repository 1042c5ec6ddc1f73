import hashlib
import json
import subprocess
import sys

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dino_ir.errors import DataError, ImageError, TrainingError, WeightsError
from dino_ir.files.checkpoint import read_checkpoint
from dino_ir.files.images import Photo, write_photo
from dino_ir.files.weights import read_weights
from dino_ir.inference import load
from dino_ir.recipe import Recipe
from dino_ir.training import Run, train

TINY_NETWORK = {"name": "nafnet", "width": 4, "encoder": [1], "middle": 1, "decoder": [1]}


@pytest.fixture
def photos(tmp_path):
    """Three smooth pictures in a data folder."""
    ramp = torch.linspace(0, 1, 48).expand(3, 40, 48)
    (tmp_path / "data/photos").mkdir(parents=True)
    for i in range(3):
        write_photo(tmp_path / f"data/photos/{i}.png", Photo(ramp.roll(12 * i, dims=-1)))
    return tmp_path / "data"


def make_recipe(**changes):
    table = {
        "restorer": {"name": "plain", "network": TINY_NETWORK},
        "phase": [
            {"steps": 6, "batch": 2, "crop": 16, "lr": 2e-3},
            {"steps": 4, "batch": 1, "crop": 24, "crops": 2, "region": 32, "lr": [2e-3, 0.0]},
        ],
        "data": [
            {
                "dataset": {"name": "clean_folder", "root": "photos"},
                "degradation": {"name": "gaussian_noise", "sigma": [0, 50]},
            }
        ],
        "save_every": 3,
    }
    return Recipe.parse({**table, **changes}, "test")


def stop_after(steps):
    """An answer to `Run.stop`."""
    stops = iter([False] * (steps - 1) + [True])
    return lambda: next(stops)


GUIDED = {
    "name": "dino_ir",
    "network": TINY_NETWORK,
    "prior": {"name": "patch_color"},
    "feature_fusion": {"name": "pixel_semantic", "channels": 4},
    "side": 32,
    "contrast": {"blocks": [0], "weights": [1.0], "start": 2, "every": 3},
}


def final(folder):
    return read_checkpoint(folder / "checkpoint.pt")


WIDE = {"name": "plain", "network": {**TINY_NETWORK, "width": 16}, "pixel": "psnr"}
EXPERTS = {"name": "plain", "network": {"name": "experts", "expert": TINY_NETWORK, "count": 2}}


def test_a_restorer_that_a_learner_teaches_restores_by_its_weight_file(photos, tmp_path):
    recipe = make_recipe(restorer=None, learner={"name": "expert_choice", "restorer": EXPERTS})

    train(recipe, Run(tmp_path / "run", photos))

    restorer = load(tmp_path / "run/weights.safetensors", "cpu")
    assert len(restorer.network.experts) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"restorer": {"name": "plain", "network": TINY_NETWORK}},
        {"restorer": GUIDED},
        {"restorer": WIDE, "optimizer": "muon"},
        {"restorer": EXPERTS},
    ],
    ids=["plain", "guided", "muon", "experts"],
)
def test_a_run_cut_in_two_equals_an_uncut_one_bit_for_bit(photos, tmp_path, changes):
    recipe = make_recipe(**changes)
    train(recipe, Run(tmp_path / "whole", photos))

    cut = train(recipe, Run(tmp_path / "cut", photos, stop=stop_after(5)))
    end = train(recipe, Run(tmp_path / "cut", photos))

    assert (cut.is_done, end.is_done) == (False, True)
    assert read_weights(cut.weights)[1]["step"] == 10  # the second call replaced what the first left
    whole, resumed = final(tmp_path / "whole"), final(tmp_path / "cut")
    torch.testing.assert_close(resumed["learner"], whole["learner"], rtol=0, atol=0)
    torch.testing.assert_close(resumed["average"], whole["average"], rtol=0, atol=0)
    lines = [json.loads(line)["step"] for line in (tmp_path / "cut/log.jsonl").read_text().splitlines()]
    assert lines == list(range(1, 11))


@pytest.mark.slow
def test_workers_change_nothing(photos, tmp_path):
    for workers in (0, 2):
        train(make_recipe(), Run(tmp_path / str(workers), photos, workers=workers))

    torch.testing.assert_close(
        final(tmp_path / "0")["learner"], final(tmp_path / "2")["learner"], rtol=0, atol=0
    )


def test_averaged_weights_are_published(photos, tmp_path):
    path = train(make_recipe(), Run(tmp_path / "run", photos)).weights

    weights, table = read_weights(path)
    assert table["restorer"]["name"] == "plain"
    for name, value in final(tmp_path / "run")["average"].items():
        torch.testing.assert_close(weights[name], value, rtol=1e-3, atol=1e-6)


def test_validation_sees_the_averaged_weights_and_is_logged(photos, tmp_path):
    seen = []

    def validate(product, step):
        seen.append((step, {name: p.detach().clone() for name, p in product.named_parameters()}))
        return {"psnr_toy": 30.0}

    train(make_recipe(validate_every=6), Run(tmp_path / "run", photos, validate=validate))

    assert [step for step, _ in seen] == [6, 10]
    torch.testing.assert_close(seen[-1][1], final(tmp_path / "run")["average"], rtol=0, atol=0)
    last = json.loads((tmp_path / "run/log.jsonl").read_text().splitlines()[-1])
    assert last["psnr_toy"] == 30.0
    assert last["seconds"] > 0


def test_another_recipe_does_not_resume(photos, tmp_path):
    train(make_recipe(), Run(tmp_path / "run", photos))

    with pytest.raises(TrainingError, match=r"of a run with another seed, clip: choose another folder"):
        train(make_recipe(clip=2.0, seed=5), Run(tmp_path / "run", photos))


def test_a_loss_that_is_not_finite_stops_with_the_last_checkpoint_kept(photos, tmp_path):
    recipe = make_recipe(
        phase=[{"steps": 5, "crop": 16}, {"steps": 5, "crop": 16, "lr": 1e30}], save_every=5, clip=1e9
    )
    with pytest.raises(TrainingError, match="the loss is not finite"):
        train(recipe, Run(tmp_path / "run", photos))

    kept = final(tmp_path / "run")
    assert kept["step"] == 5
    assert all(value.isfinite().all() for value in kept["learner"].values())


def test_a_run_starts_from_other_weights(photos, tmp_path):
    plain = train(make_recipe(), Run(tmp_path / "plain", photos)).weights
    seen = {}

    def look(product, step):
        seen[step] = {name: p.detach().clone() for name, p in product.named_parameters()}
        return {}

    recipe = make_recipe(restorer=GUIDED, phase=[{"steps": 1, "crop": 16, "lr": 0.0}])
    train(recipe, Run(tmp_path / "guided", photos, init=plain, validate=look))

    for name, value in read_weights(plain)[0].items():
        torch.testing.assert_close(seen[1][name], value, rtol=0, atol=0)
    with pytest.raises(WeightsError, match="no weights 'absent'"):
        train(recipe, Run(tmp_path / "other", photos, init="absent"))


def test_it_is_told_and_kept_what_a_run_started_from(photos, tmp_path):
    plain = train(make_recipe(phase=[{"steps": 1, "crop": 16}]), Run(tmp_path / "plain", photos)).weights
    told, recipe = [], make_recipe(restorer=GUIDED, phase=[{"steps": 2, "crop": 16}])

    run = Run(tmp_path / "guided", photos, init=plain, tell=told.append)
    train(recipe, run._replace(stop=stop_after(1)))
    weights = train(recipe, run).weights

    fitting, own = len(read_weights(plain)[0]), len(read_weights(weights)[0])
    assert told == [
        f"{fitting} of {own} parameters start from {plain}",
        f"the run in {run.folder} goes on; {plain} is not read again",
    ]
    assert 0 < fitting < own
    digest = hashlib.sha256(plain.read_bytes()).hexdigest()
    assert read_weights(weights)[1]["init"] == {"name": str(plain), "sha256": digest}


def test_a_checkpoint_that_does_not_say_what_it_started_from_is_resumed(photos, tmp_path):
    recipe = make_recipe(phase=[{"steps": 2, "crop": 16}])
    train(recipe, Run(tmp_path / "run", photos, stop=stop_after(1)))
    assert "init" not in final(tmp_path / "run")

    weights = train(recipe, Run(tmp_path / "run", photos, init="never looked for")).weights

    assert "init" not in read_weights(weights)[1]


def test_clean_photos_without_a_degradation_are_refused_before_the_first_step(photos, tmp_path):
    bare = make_recipe(data=[{"dataset": {"name": "clean_folder", "root": "photos"}}])

    with pytest.raises(DataError, match=r"CleanFolder\(.*\) has clean photos only: give its \[\[data\]\]"):
        train(bare, Run(tmp_path / "run", photos))


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_broken_photo_is_one_line_from_any_process(photos, tmp_path, workers):
    for path in (photos / "photos").iterdir():
        path.write_bytes(path.read_bytes()[:90])

    with pytest.raises(ImageError) as caught:
        train(make_recipe(), Run(tmp_path / "run", photos, workers=workers))

    assert len(str(caught.value).splitlines()) == 1
    assert ".png" in str(caught.value)


FAILING = """
import importlib.util, pathlib, sys
from dino_ir.feed import Stream
from dino_ir.training import Run, train

def fail(_stream, _place):
    raise RuntimeError("as no code of ours would")

Stream.__getitem__ = fail  # in each worker too, which begins by importing this file

if __name__ == "__main__":
    spec = importlib.util.spec_from_file_location("test_training", sys.argv[1])
    tests = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tests)
    folder, data = map(pathlib.Path, sys.argv[2:])
    train(tests.make_recipe(), Run(folder, data, workers=1))
"""


@pytest.mark.slow
def test_a_run_ends_where_a_worker_fails_in_a_way_that_is_not_foreseen(photos, tmp_path):
    (tmp_path / "failing.py").write_text(FAILING)
    words = [sys.executable, tmp_path / "failing.py", __file__, tmp_path / "run", photos]

    done = subprocess.run(words, capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert "RuntimeError: as no code of ours would" in done.stderr


def test_the_events_of_a_run_that_fails_are_not_lost(photos, tmp_path):
    phases = [{"steps": 2, "crop": 16}, {"steps": 5, "crop": 16, "lr": 1e30}]

    with pytest.raises(TrainingError):
        train(make_recipe(phase=phases, clip=1e9), Run(tmp_path / "run", photos, tensorboard=True))

    events = EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    logged = [json.loads(line)["step"] for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [event.step for event in events.Scalars("pixel")] == logged
    assert logged[:2] == [1, 2]


def test_batches_that_do_not_divide_among_the_processes_are_refused(photos, tmp_path, monkeypatch):
    monkeypatch.setattr("dino_ir.training.number_of_processes", lambda: 2)

    with pytest.raises(
        TrainingError, match=r"phase.1.batch is 1, .* among 2 processes: --set phase.1.batch=2"
    ):
        train(make_recipe(), Run(tmp_path / "run", photos))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler warns of its own code
def test_a_compiled_run_is_the_same_but_for_rounding(photos, tmp_path):
    recipe = make_recipe(precision="fp32")
    for name in ("plain", "compiled"):
        train(recipe, Run(tmp_path / name, photos, compiled=name == "compiled"))

    plain, compiled = final(tmp_path / "plain")["learner"], final(tmp_path / "compiled")["learner"]
    assert plain.keys() == compiled.keys()
    for name in plain:  # a step of Adam moves each by up to 0.002
        torch.testing.assert_close(compiled[name], plain[name], rtol=0, atol=2e-4)
