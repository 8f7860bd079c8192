"""Several plugins in one process: each log line goes to the plugin that caused it."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.embedded import Library
from support.events import encode_event
from support.libraries import build_changed, build_plugin, simple_plugin

from falco_plugin import _core

EVENT = encode_event(b"event")

SOURCE = """
import logging
import threading
import warnings
from falco_plugin import Plugin, field, source


class Logging(Plugin):
    name = "{name}"
    event_source = "{name}_events"

    def init(self):
        if self.config == "fails":
            raise ValueError("no init")

    def open(self, params, context):
        return getattr(self, params)(context)

    def host_thread(self, context):
        logging.getLogger("client").warning("from open")
        return []

    def generator(self, context):
        logging.getLogger("client").warning("from the generator")
        yield b"event"

    async def async_generator(self, context):
        logging.getLogger("client").warning("from the async generator")
        yield b"event"

    def thread(self, context):
        thread = threading.Thread(target=self.work)
        thread.start()
        thread.join()
        return []

    def work(self):
        logging.getLogger("client").warning("from a thread")

    def python_warning(self, context):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("from a warning")
        return []

    def plugin_logger(self, context):
        self.log.warning("by the plugin's logger")
        return []

    def generator_error(self, context):
        yield b"event"
        raise ValueError("an error of the generator")

    def dropped_events(self, context):
        sender, receiver = source.channel()
        sender.send(b"event")
        return source.PushInstance(receiver, context=context)

    @field("{name}.fails", desc="Fails")
    def fails(self, event) -> str:
        raise ValueError("an error of the field")

    def event_to_string(self, event):
        raise ValueError("an error of the text")
"""

OPENED = {
    "host_thread": "client: from open",
    "generator": "client: from the generator",
    "async_generator": "client: from the async generator",
    "thread": "client: from a thread",
    "python_warning": "UserWarning: from a warning",
    "plugin_logger": "by the plugin's logger",
    "generator_error": "ValueError: an error of the generator",
    "dropped_events": "dropped 1 event still in the channel when the source {name}_events ended",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("logging")
    return {name: build_plugin(folder, SOURCE.replace("{name}", name), name) for name in ("first", "second")}


@pytest.fixture
def loaded(built: dict[str, Path]) -> Iterator[dict[str, Library]]:
    """Loads two plugins, the first of them twice."""
    with Library(built["first"]) as first, Library(built["second"]) as second, Library(built["first"]) as again:
        yield {"first": first, "second": second, "again": again}


def first_lines(library: Library) -> list[str]:
    return [text.splitlines()[0] for _, text in library.logs]


@pytest.mark.parametrize("which", ["first", "second", "again"])
@pytest.mark.parametrize(("function", "expected"), OPENED.items())
def test_log_line_goes_to_plugin_of_open_source(loaded, which: str, function: str, expected: str) -> None:
    logging.captureWarnings(True)
    with loaded[which].opened(function) as instance:
        if function != "dropped_events":
            instance.drain()
    logging.captureWarnings(False)
    expected = expected.replace("{name}", "second" if which == "second" else "first")
    found = {name: [text for text in first_lines(library) if expected in text] for name, library in loaded.items()}
    assert {name: len(lines) for name, lines in found.items()} == {name: name == which for name in loaded}


@pytest.mark.parametrize("which", ["first", "second", "again"])
def test_extraction_failure_goes_to_its_plugin(loaded, which: str) -> None:
    name = "second" if which == "second" else "first"
    loaded[which].extract(EVENT, f"{name}.fails")
    loaded[which].event_to_string(EVENT)
    for other, library in loaded.items():
        found = [text for text in first_lines(library) if "an error of" in text]
        assert len(found) == (2 if other == which else 0)


def test_failed_init_is_logged_for_its_plugin(loaded, built: dict[str, Path]) -> None:
    failed = Library(built["second"], "fails")
    assert any("init failed: ValueError: no init" in text for text in first_lines(failed))
    assert not any("no init" in text for library in loaded.values() for text in first_lines(library))
    failed.destroy()


@pytest.mark.linked("the path of its SDK is in its manifest")
def test_plugin_of_other_sdk_is_refused_in_its_own_log(loaded, tmp_path: Path) -> None:
    other = shutil.copy(_core.__file__, tmp_path)
    refused = Library(build_changed(tmp_path, simple_plugin("refused"), core=str(other)))
    assert any("init failed: this process already runs the SDK of " in text for text in first_lines(refused))
    assert not any("already runs" in text for library in loaded.values() for text in first_lines(library))
    refused.destroy()
