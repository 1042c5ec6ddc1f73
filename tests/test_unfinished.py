from pathlib import Path

from dino_ir.unfinished import sweep, unfinished_name


def test_names_hide_beside_their_file_differ_and_keep_the_suffix(tmp_path):
    one, other = (unfinished_name(tmp_path / "a.JPG") for _ in range(2))

    assert one != other
    assert one.parent == tmp_path
    assert (one.name[0], one.suffix) == (".", ".JPG")


def test_names_are_never_longer_than_a_file_system_takes(tmp_path):
    assert len(unfinished_name(tmp_path / ("x" * 251 + ".png")).name) < 30


def test_only_what_was_left_of_these_files_is_swept(tmp_path):
    (tmp_path / "below").mkdir()
    ours, others, below = tmp_path / "a.png", tmp_path / "b.png", tmp_path / "below/a.png"
    left = [unfinished_name(path) for path in (ours, ours, others, below)]
    kept = [tmp_path / ".hidden.png", tmp_path / ".0123456789abcdef", ours]
    for path in (*left, *kept):
        path.touch()

    sweep([ours, tmp_path / "missing/c.png"])

    assert [path.exists() for path in (*left, *kept)] == [False, False, True, True, True, True, True]


def test_names_that_are_no_text_are_swept_too(tmp_path):
    path = tmp_path / "\udcff.png"
    unfinished_name(path).touch()

    sweep([path])

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_holds_nothing_unfinished(tmp_path):
    (tmp_path / "file").touch()

    sweep([tmp_path / "file" / "a.png", Path("nowhere/b.png")])

    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_folder_that_cannot_be_named_holds_nothing_unfinished(tmp_path):
    (tmp_path / "a.png").touch()

    sweep([tmp_path / ("a" * 300) / "b.png"])

    assert list(tmp_path.iterdir()) == [tmp_path / "a.png"]
