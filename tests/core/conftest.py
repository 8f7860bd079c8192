from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.polled_api import Simulate, Simulation


@pytest.fixture
def simulate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Simulate:
    """Returns a simulation of a poller that did not start yet."""
    # A simulation has no power failures: do not wait for the disk.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    return lambda answer, *arguments, **options: Simulation(tmp_path, answer, *arguments, **options)
