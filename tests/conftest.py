from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support.field_plugins import fields_plugin
from support.libraries import ARE_SELF_CONTAINED, build_plugin

from falco_plugin._runtime import gil

# No example fails for being slow, because machines differ. HYPOTHESIS_PROFILE=slow tries more examples.
_common = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("fast", max_examples=20, **_common)
settings.register_profile("slow", max_examples=2000, **_common)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips tests of linked libraries if all libraries are self-contained, and some under AddressSanitizer."""
    for item in items:
        if "ASAN_OPTIONS" in os.environ and item.get_closest_marker("no_asan"):
            item.add_marker(pytest.mark.skip(reason="not with AddressSanitizer"))
        if ARE_SELF_CONTAINED and (marker := item.get_closest_marker("linked")):
            item.add_marker(pytest.mark.skip(reason=f"only for linked libraries: {marker.args[0]}"))


@pytest.fixture(scope="session", autouse=True)
def _gil_stays_off() -> Iterator[None]:
    """Fails if a free-threaded Python has switched its GIL on, because the tests then did not run without it."""
    was_enabled = gil.is_enabled()
    yield
    assert gil.is_enabled() == was_enabled, "a module that was imported in the tests needs the GIL"


class Running:
    """A function that runs on its own thread."""

    def __init__(self, function):
        self._function = function
        self._outcome = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self._outcome = (self._function(), None)
        except BaseException as error:
            self._outcome = (None, error)

    @property
    def ended(self):
        return not self._thread.is_alive()

    def join(self):
        self._thread.join(10)
        assert self.ended, f"{self._function} hangs"

    def result(self):
        """Returns or raises the result of the function."""
        self.join()
        value, error = self._outcome
        if error is not None:
            raise error
        return value


@pytest.fixture
def in_thread():
    """Runs a function on its own thread. All threads must have ended at the end of the test."""
    started = []

    def start(function):
        started.append(Running(function))
        return started[-1]

    yield start
    for running in started:
        running.join()


@pytest.fixture
def build_fields(tmp_path: Path) -> Callable[..., Path]:
    """Builds a plugin from the body of its class, and from lines that come before the class."""

    def build(body: str, before: str = "", name: str = "fields") -> Path:
        return build_plugin(tmp_path, fields_plugin(body, before), name)

    return build
