import json

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dino_ir.files.journal import Journal


def read_events(folder, name):
    """Steps and values, as TensorBoard reads them back."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


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
    for step in (1, 2, 3):
        journal.write(step, {"pixel": 0.5 * step})
    journal.close()

    assert read_events(tmp_path, "pixel") == [(1, 0.5), (2, 1.0), (3, 1.5)]
