"""What overlaps is proven by events that would never come if it did not; nothing is timed."""

import threading

import pytest

from dino_ir.pipeline import overlap

PATIENT = 20  # seconds until a test gives up waiting for what should come at once


def nothing(_item):
    pass


class Meeting:
    """One step of one item waits until another step of another item has begun."""

    def __init__(self, waits, for_whom):
        self.waits, self.for_whom, self.came = waits, for_whom, threading.Event()

    def step(self, name):
        def take(item):
            if (name, item) == self.for_whom:
                self.came.set()
            if (name, item) == self.waits:
                assert self.came.wait(PATIENT)

        return take

    def steps(self):
        return [self.step(name) for name in ("read", "work", "write")]


def test_each_item_takes_the_three_steps_and_the_order_stays():
    taken = {number: [] for number in range(9)}
    steps = [lambda number, name=name: taken[number].append(name) for name in ("read", "work", "write")]

    assert list(overlap(range(9), *steps)) == list(range(9))
    assert all(names == ["read", "work", "write"] for names in taken.values())


@pytest.mark.parametrize(
    ("waits", "for_whom"),
    [
        (("work", 0), ("read", 1)),
        (("write", 0), ("work", 1)),
        (("write", 0), ("write", 1)),
        (("read", 2), ("work", 1)),
        (("read", 3), ("write", 1)),
    ],
    ids=str,
)
def test_steps_of_different_items_overlap(waits, for_whom):
    assert list(overlap(range(5), *Meeting(waits, for_whom).steps())) == list(range(5))


def test_items_are_worked_on_by_the_callers_thread_and_read_by_one_other():
    threads = {"read": set(), "work": set(), "write": set()}
    steps = [lambda _item, name=name: threads[name].add(threading.get_ident()) for name in threads]

    list(overlap(range(20), *steps))

    assert threads["work"] == {threading.get_ident()}
    assert len(threads["read"]) == 1
    assert threads["read"].isdisjoint(threads["work"] | threads["write"])


def test_no_more_than_four_are_held():
    held, most, lock = set(), [], threading.Lock()

    def read(item):
        with lock:
            held.add(item)
            most.append(len(held))

    for _item in overlap(range(40), read, nothing, held.discard):
        pass

    assert 2 <= max(most) <= 4


def test_items_are_not_taken_before_they_are_needed():
    taken = []

    passages = overlap((taken.append(item) or item for item in range(99)), nothing, nothing, nothing)

    assert taken == []
    assert next(passages) == 0
    assert len(taken) <= 4


def test_a_stop_finishes_what_was_worked_on_and_nothing_else():
    worked, written = [], []

    through = list(overlap(range(9), nothing, worked.append, written.append, stop=lambda: len(worked) == 3))

    assert through == worked == sorted(written) == [0, 1, 2]


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_mistake_in_a_step_comes_out(step):
    steps = [nothing, nothing, nothing]
    steps[step] = lambda item: 1 // (2 - item)

    with pytest.raises(ZeroDivisionError):
        list(overlap(range(5), *steps))


def test_what_is_interrupted_is_left_and_what_is_written_is_written():
    written = []

    def work(item):
        if item == 2:
            raise KeyboardInterrupt

    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        list(overlap(range(5), nothing, work, written.append))

    assert sorted(written) == [0, 1]
    assert set(threading.enumerate()) <= before


def test_nothing_gives_nothing():
    assert list(overlap([], nothing, nothing, nothing)) == []
