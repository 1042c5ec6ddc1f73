"""What the measurements say of the machine, on every system."""

import os
import sys
from importlib import import_module
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    return import_module("machine")


def test_memory_is_counted_in_megabytes_on_every_system(machine, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    most = machine.most_memory()
    monkeypatch.setattr(sys, "platform", "darwin")

    assert machine.most_memory() == pytest.approx(most / 1024, rel=0.1)


def test_windows_has_neither_peak_nor_load(machine, monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.delattr(os, "getloadavg", raising=False)

    assert machine.most_memory() == 0
    assert machine.where_and_when(threads=1)["load"] == ""
