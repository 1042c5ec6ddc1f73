import json

from dino_ir.files.journal import Journal


def test_lines_after_the_step_a_run_goes_on_from_are_dropped(tmp_path):
    first = Journal(tmp_path, step=0)
    for step in (1, 2, 3):
        first.write(step, {"pixel": 0.1 * step})
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "pix')

    Journal(tmp_path, step=2).write(3, {"pixel": 1 / 3})

    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == [{"step": 1, "pixel": 0.1}, {"step": 2, "pixel": 0.2}, {"step": 3, "pixel": 0.333333}]


def test_tensorboard_gets_the_same_numbers(tmp_path):
    journal = Journal(tmp_path, step=0, tensorboard=True)
    journal.write(1, {"pixel": 0.5})
    journal.board.close()

    assert list(tmp_path.glob("events.*"))
