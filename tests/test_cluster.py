"""Photos and results by URL; Ray itself is run by the slow test, on a cluster of two machines."""

import json
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest
import torch

from dino_ir.cluster import RemoteJob, Worker, plan_remote, restore_on_cluster
from dino_ir.errors import DataError
from dino_ir.files.images import Photo, read_photo, write_photo
from dino_ir.photos import Options


@pytest.fixture
def store(tmp_path):
    """A store that is no folder of this machine, with photos in a tree."""
    files = fsspec.filesystem("memory")
    write_photo(tmp_path / "a.png", Photo(torch.rand(3, 9, 8)))
    for name in ("in/a.png", "in/x/b.png", "in/x/notes.txt", "in/.thumbs/a.png"):
        files.pipe(f"/{name}", (tmp_path / "a.png").read_bytes())
    files.pipe("/in/broken.jpg", b"no picture")
    yield files
    files.rm("/", recursive=True)


def test_a_folders_tree_is_kept(store):
    jobs, done = plan_remote(["memory://in"], "memory://out")

    assert done == 0
    assert jobs == [
        RemoteJob("memory:///in/a.png", "memory:///out/a.png"),
        RemoteJob("memory:///in/broken.jpg", "memory:///out/broken.jpg"),
        RemoteJob("memory:///in/x/b.png", "memory:///out/x/b.png"),
    ]


def test_a_pattern_keeps_what_it_left_open(store):
    jobs, _done = plan_remote(["memory://in/**/*.png"], "memory://out", ".webp")

    assert [job.result for job in jobs] == ["memory:///out/a.webp", "memory:///out/x/b.webp"]


def test_listed_photos_keep_all_their_folders(store):
    jobs, _done = plan_remote([], "memory://out", listed=["memory://in/x/b.png", "memory://in/[1].png"])

    assert [job.result for job in jobs] == ["memory:///out/in/x/b.png", "memory:///out/in/[1].png"]


def test_what_has_a_result_is_done(store):
    store.pipe("/out/x/b.png", b"")

    jobs, done = plan_remote(["memory://in"], "memory://out")
    every, none = plan_remote(["memory://in"], "memory://out", overwrite=True)

    assert ([job.photo for job in jobs], done) == (["memory:///in/a.png", "memory:///in/broken.jpg"], 1)
    assert (len(every), none) == (3, 0)


def test_paths_of_this_machine_are_absolute(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert plan_remote(["a.png"], "memory://out")[0] == [
        RemoteJob(str(tmp_path / "a.png"), "memory:///out/a.png")
    ]
    assert plan_remote(["memory://in/x"], "out")[0] == [
        RemoteJob("memory:///in/x/b.png", str(tmp_path / "out/b.png"))
    ]


@pytest.mark.parametrize(
    ("paths", "out", "message"),
    [
        (["memory://nothing/*"], "memory://out", "memory://nothing/.* holds no photos"),
        (["memory://in/a.png"], "memory://in", "would replace the photo"),
        (["memory://in/a.png", "memory://other/a.png"], "memory://out", "would both become"),
        (["carrierpigeon://in"], "memory://out", "carrierpigeon://in: Protocol not known"),
        ([], "memory://out", "is empty"),
    ],
)
def test_what_would_go_wrong_is_refused_before_work(store, paths, out, message):
    with pytest.raises(DataError, match=message):
        plan_remote(paths, out)


def test_nothing_to_do_needs_no_cluster():
    assert list(restore_on_cluster([])) == []


def test_a_worker_fetches_restores_and_delivers(store, tmp_path):
    (row,) = [
        Worker("default", Options(strength=0))(job._asdict())
        for job in plan_remote(["memory://in/a.png"], "memory://out")[0]
    ]

    (tmp_path / "result.png").write_bytes(store.cat("/out/a.png"))
    assert (row["photo"], row["status"], row["message"]) == ("memory:///in/a.png", "restored", "")
    assert torch.equal(read_photo(tmp_path / "result.png").pixels, read_photo(tmp_path / "a.png").pixels)


@pytest.mark.parametrize(
    ("photo", "message"),
    [
        ("memory:///in/broken.jpg", "memory:///in/broken.jpg is not an image that can be read"),
        ("memory:///in/missing.png", "FileNotFoundError: /in/missing.png"),
        (
            "carrierpigeon://in/a.png",
            "carrierpigeon://in/a.png: Protocol not known: carrierpigeon",
        ),
    ],
)
def test_whatever_goes_wrong_is_in_the_row_and_nothing_is_delivered(store, photo, message):
    row = Worker("default", Options(strength=0))({"photo": photo, "result": "memory:///out/a.png"})

    assert (row["photo"], row["status"], row["message"]) == (photo, "failed", message)
    assert store.find("/out") == []


PROGRAM = """
import json, os, ray
from ray.cluster_utils import Cluster
from dino_ir import cluster as parts

class Mortal(parts.Worker):
    def __call__(self, job):
        if "deadly" in job["photo"]:
            os._exit(1)
        return super().__call__(job)

parts.Worker = Mortal
cluster = Cluster(initialize_head=True, connect=True, head_node_args={"num_cpus": 0})
machines = [cluster.add_node(num_cpus=1) for _ in range(2)]
cluster.wait_for_nodes()
jobs, _done = parts.plan_remote(["in"], "out")
for number, result in enumerate(parts.restore_on_cluster(jobs, options=parts.Options(strength=0))):
    print("row", json.dumps(result._asdict()), flush=True)
    if number == 4:
        cluster.remove_node(machines[1], allow_graceful=False)
ray.shutdown()
cluster.shutdown()
"""


@pytest.mark.slow
def test_a_machine_and_workers_are_killed_and_nothing_is_lost(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    photos = {str(tmp_path / f"in/{number % 2}/{number}.png"): torch.rand(3, 20, 30) for number in range(40)}
    for path, pixels in photos.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_photo(path, Photo((pixels * 255).round() / 255))
    broken, deadly = tmp_path / "in/broken.png", tmp_path / "in/deadly.png"
    broken.write_text("no picture")
    write_photo(deadly, Photo(torch.rand(3, 4, 4)))

    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stderr
    rows = [json.loads(line[4:]) for line in run.stdout.splitlines() if line.startswith("row ")]
    assert sorted(row["photo"] for row in rows) == sorted([*photos, str(broken), str(deadly)])
    failed = {row["photo"]: row["message"] for row in rows if row["status"] != "restored"}
    assert failed == {
        str(broken): f"{broken} is not an image that can be read",
        str(deadly): "its worker died 4 times",
    }
    for row in rows:
        if row["status"] == "restored":
            assert torch.equal(read_photo(row["result"]).pixels, read_photo(row["photo"]).pixels)
    left, done = plan_remote(["in"], "out")
    assert ([job.photo for job in left], done) == ([str(broken), str(deadly)], 40)


@pytest.mark.parametrize("photos", ["memory://in", "memory://in/", "memory://in/**/*.png"])
def test_results_in_a_folder_below_are_no_photos(store, photos):
    store.pipe("/in/out/a.png", b"")
    store.pipe("/in/outer/c.png", b"")

    jobs, done = plan_remote([photos], "memory://in/out")

    assert done == 1
    names = [job.photo.removeprefix("memory:///in/") for job in jobs]
    assert [name for name in names if name.endswith(".png")] == ["outer/c.png", "x/b.png"]


def test_a_folder_of_results_alone_holds_no_photos(store):
    store.pipe("/done/out/a.png", b"")

    with pytest.raises(DataError, match="memory://done holds no photos"):
        plan_remote(["memory://done"], "memory://done/out")


def test_on_this_machine_too_results_below_are_no_photos(tmp_path):
    for name in ("a.png", "out/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    assert plan_remote([str(tmp_path)], f"{tmp_path}/out/") == ([], 1)


@pytest.mark.parametrize(("paths", "out"), [([""], "out"), (["a.png"], "")])
def test_an_empty_path_is_refused(paths, out):
    with pytest.raises(DataError, match="a path is empty"):
        plan_remote(paths, out)
