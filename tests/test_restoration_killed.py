"""kill -9 at any moment: no half file, nothing lost, and the next run does only the rest."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch

from dino_ir.files.images import Photo, read_photo, write_photo
from dino_ir.photos import LARGE

PHOTOS = 150
KILLS = 10
SMALL = 100  # pixels; larger photos are then restored in pieces, as those of many megapixels are
PROGRAM = """
import sys
from pathlib import Path
from dino_ir import photos
from dino_ir.manifest import Manifest
from dino_ir.places import plan
from dino_ir.restoration import restore_files
from dino_ir.restorers.identity import Identity

photos.LARGE = int(sys.argv[1])
manifest = Manifest(Path("m.jsonl"), {}, resumes=True)
jobs = manifest.rest(plan(["in"], "out"))
print(len(jobs), flush=True)
for result in manifest.note(restore_files(Identity(), jobs)):
    print(result, flush=True)
"""


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Photos of many sizes, in a tree; the working folder is above it."""
    monkeypatch.chdir(tmp_path)
    generator = torch.Generator().manual_seed(0)
    for number in range(PHOTOS):
        path = tmp_path / f"in/{number % 3}/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        height, width = torch.randint(20, 400, (2,), generator=generator).tolist()
        write_photo(path, Photo(torch.randint(0, 256, (3, height, width), generator=generator) / 255))
    return {path: read_photo(path).pixels for path in (tmp_path / "in").rglob("*.png")}


def start(large):
    """A run that has begun, and how many photos it has left."""
    words = [sys.executable, "-c", PROGRAM, str(large)]
    run = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    return run, int(run.stdout.readline())


def results(tmp_path):
    """The results, by their photos, and when each was written."""
    found = [path for path in (tmp_path / "out").rglob("*.png") if not path.name.startswith(".")]
    return {tmp_path / "in" / path.relative_to(tmp_path / "out"): path.stat().st_mtime_ns for path in found}


@pytest.mark.slow
@pytest.mark.parametrize("large", [LARGE, SMALL], ids=["whole", "pieces"])
def test_killed_many_times_each_photo_is_restored_once_and_whole(tmp_path, photos, large):
    rng = random.Random(0)
    done, amounts = {}, []

    for kills in range(KILLS):
        run, left = start(large)
        # So many results, not so long a time: how fast the machine is does not say how much is done.
        for _ in range(rng.randrange(10)):
            run.stdout.readline()
        time.sleep(rng.uniform(0, 0.02))
        run.send_signal(signal.SIGKILL)
        run.communicate()
        now = results(tmp_path)
        assert done.items() <= now.items(), "none is lost, and none is written again"
        # A result that was written while its row was not is passed over by every later run.
        assert left <= PHOTOS - len(done) + 4 * kills, "only those in flight are looked at again"
        for photo in now.keys() - done.keys():
            result = tmp_path / "out" / photo.relative_to(tmp_path / "in")
            assert torch.equal(read_photo(result).pixels, photos[photo])
        amounts.append(len(now) - len(done))
        done = now
    run, _left = start(large)
    run.communicate()

    assert run.returncode == 0
    assert results(tmp_path).keys() == photos.keys()
    assert done.items() <= results(tmp_path).items()
    assert sum(amount > 0 for amount in amounts) >= 3, "the kills came while photos were restored"
    rows = [json.loads(line) for line in (tmp_path / "m.jsonl").read_bytes().splitlines()]
    assert {row["photo"] for row in rows} == {str(photo) for photo in photos}
    assert [row["photo"] for row in rows if row["status"] == "failed"] == []
    restored = [row["photo"] for row in rows if row["status"] == "restored"]
    assert len(restored) == len(set(restored)) >= PHOTOS - 4 * KILLS
    assert sorted(path.name for path in tmp_path.rglob(".*")) == [], "nothing unfinished is left"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_those_in_flight_and_the_same_command_does_the_rest(tmp_path, photos, number):
    words = ["restore", "in", "-o", "out", "--strength", "0", "--manifest", "m.jsonl", "--resume"]
    command = [sys.executable, "-c", "from dino_ir.cli import app; app()", *words]

    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    first = run.stdout.readline()
    os.kill(run.pid, number)
    rest, _errors = run.communicate()
    again = subprocess.run(command, capture_output=True, text=True, check=False)

    lines = [first, *rest.splitlines()]
    restored = [line for line in lines if " -> " in line]
    assert run.returncode == 130
    assert f"stopped; {PHOTOS - len(restored)} left" in lines
    assert again.returncode == 0
    assert f"{len(restored)} of {PHOTOS} photos are done already" in again.stdout
    assert f"{PHOTOS - len(restored)} restored" in again.stdout
    assert sorted(path.name for path in tmp_path.rglob(".*")) == []
