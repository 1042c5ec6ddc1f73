import io
import os
import signal
import sys
import time

import pytest
import typer

from dino_ir.errors import DataError, DinoIRError, ImageError, RecipeError, TrainingError, WeightsError
from dino_ir.terminal import plain_errors, say, share_cores, stop_on_signal, write_any_name


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (ImageError("a.png is no photo"), 1),
        (TrainingError("the loss is not finite"), 1),
        (PermissionError(13, "Permission denied", "runs"), 1),
        (RecipeError("no 'x' in networks/"), 2),
        (DataError("no folder x"), 2),
        (WeightsError("no weights 'x'"), 2),
        (DinoIRError("no device 'x'"), 2),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_failed_is_1_and_what_was_asked_wrongly_is_2(problem, code, capsys):
    with pytest.raises(typer.Exit) as left, plain_errors():
        raise problem

    assert left.value.exit_code == code
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_brackets_and_long_lines_stay_as_they_are(capsys):
    line = "[bold]photos/[a].png[/bold] " + "word " * 40 + "end"

    say(line, style="red")

    assert capsys.readouterr().out == line + "\n"


def test_mistakes_of_ours_keep_their_traceback():
    with pytest.raises(ZeroDivisionError), plain_errors():
        _ = 1 / 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_to_stop_its_echo_does_no_more_and_a_later_one_interrupts(number, monkeypatch):
    kept = signal.getsignal(number)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    now = 100.0

    with stop_on_signal() as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        now = 100.2
        os.kill(os.getpid(), number)
        now = 101.5
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)

    assert signal.getsignal(number) == kept


@pytest.mark.parametrize(("given", "policy"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_waiting_threads_sleep_unless_the_user_says_otherwise(monkeypatch, given, policy):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if given is not None:
        monkeypatch.setenv("OMP_WAIT_POLICY", given)

    share_cores()

    assert os.environ["OMP_WAIT_POLICY"] == policy


def test_a_name_that_the_encoding_lacks_is_written_by_its_numbers(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))

    write_any_name()
    say("夜.jpg -> 夜_restored.jpg")
    sys.stdout.flush()

    assert written.getvalue() == b"\\u591c.jpg -> \\u591c_restored.jpg\n"
