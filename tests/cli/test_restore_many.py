"""`dino-ir restore` on many photos: patterns, lists, shards, and a manifest to resume by."""

import json

import pytest
from typer import Typer
from typer.testing import CliRunner

from dino_ir.commands.cluster import cluster


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_quoted_pattern_is_read(call, folder, weights):
    code, _output = call("restore", "pho*/[b-z].png", "-o", "out", "--weights", weights)

    assert (code, names(folder / "out")) == (0, ["photos/b.png"])


@pytest.mark.parametrize("content", [b"photos/a.png\nphotos/b.png\n", b"photos/b.png\0photos/a.png\0"])
def test_a_list_comes_on_standard_input(folder, weights, content):
    from dino_ir.cli import app

    words = ["restore", "-", "-o", "out", "--weights", weights]
    result = CliRunner().invoke(app, words, input=content)

    assert result.exit_code == 0
    assert names(folder / "out") == ["photos/a.png", "photos/b.png"]


def test_shards_restore_all_together(call, folder, weights):
    for shard in ("1/3", "2/3", "3/3"):
        code, output = call("restore", "photos", "-o", "out", "--weights", weights, "--shard", shard)
        assert (code, "skipped" in output) == (0, False)

    assert names(folder / "out") == ["a.png", "b.png"]


def test_a_manifest_is_written_and_resumed(call, folder, weights):
    words = ("restore", "photos", "-o", "out", "--weights", weights, "--manifest", "m.jsonl")
    (folder / "photos/c.png").write_text("no picture")

    first = call(*words)
    (folder / "photos/c.png").write_bytes((folder / "photos/a.png").read_bytes())
    second = call(*words, "--resume")
    third = call(*words, "--resume")

    assert [code for code, _output in (first, second, third)] == [1, 0, 0]
    assert second[1].splitlines()[0] == "2 of 3 photos are done already"
    assert third[1] == "3 of 3 photos are done already\n"
    rows = [json.loads(line) for line in (folder / "m.jsonl").read_text().splitlines()]
    assert [row["status"] for row in rows] == ["restored", "restored", "failed", "restored"]
    assert len(rows[0]["settings"]["weights"]) == 64


def test_other_weights_or_options_restore_again(call, folder, weights):
    words = ("restore", "photos", "-o", "out", "--weights", weights, "--manifest", "m.jsonl", "--resume")
    call(*words)
    before = (folder / "out/a.png").read_bytes()

    _code, output = call(*words, "--strength", "0")

    assert output.splitlines()[-1] == "2 restored"
    assert (folder / "out/a.png").read_bytes() != before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["photos", "--resume"], "--resume goes on with a manifest: name it by --manifest FILE"),
        (["photos", "--manifest", "tiny.safetensors"], "tiny.safetensors exists: go on with it by --resume"),
        (["photos", "--manifest", "tiny.safetensors", "--resume"], "tiny.safetensors is no manifest: line 1"),
        (["photos", "--html", "photos/a.png"], "photos/a.png would be written over photos/a.png"),
        (["nothing/*.png"], "nothing/*.png holds no photos"),
    ],
    ids=lambda words: words[-1],
)
def test_what_cannot_be_begun_is_one_sentence_and_code_2(call, folder, weights, words, said):
    before = {path: path.read_bytes() for path in (folder / "photos").iterdir()}

    code, output = call("restore", *words, "--weights", weights)

    assert (code, len(output.splitlines())) == (2, 1)
    assert f"dino-ir: {said}" in output
    assert {path: path.read_bytes() for path in (folder / "photos").iterdir()} == before


def test_an_empty_list_is_code_2(folder, weights):
    from dino_ir.cli import app

    result = CliRunner().invoke(app, ["restore", "-", "--weights", weights], input=b"\n")

    assert (result.exit_code, result.output) == (2, "dino-ir: the list of photos is empty\n")


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"])
def test_a_shard_that_is_none_is_code_2(call, shard):
    code, output = call("restore", "photos", "--shard", shard)

    assert code == 2
    assert "Usage: dino-ir" in output


def test_a_cluster_is_not_needed_where_all_is_done(folder):
    app = Typer()
    app.command()(cluster)
    (folder / "out").mkdir()
    for name in ("a.png", "b.png"):
        (folder / "out" / name).touch()

    result = CliRunner().invoke(app, ["photos", "-o", "out", "--rows", "rows.jsonl"])

    assert (result.exit_code, result.output) == (0, "2 of 2 photos are done already\n")
