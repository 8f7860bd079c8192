"""Fixtures that build plugins and load them in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.embedded import Library
from support.events import SUCCESS
from support.field_table import GIVEN, table_source
from support.libraries import Build, build_plugin


@pytest.fixture(scope="session")
def given_events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds a source plugin whose configuration lists its payloads."""
    return build_plugin(tmp_path_factory.mktemp("given"), GIVEN, "given")


@pytest.fixture(scope="session")
def field_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds a plugin with a field for each type and argument."""
    return build_plugin(tmp_path_factory.mktemp("table"), table_source(), "table")


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Returns a function that builds a plugin from a source string."""
    return lambda source, name="plugin": build_plugin(tmp_path, source, name)


@pytest.fixture
def load(build: Build) -> Iterator[Callable[..., Library]]:
    """Returns a function that builds a plugin and initialises it in this process."""
    libraries: list[Library] = []

    def load(source: str, config: str = "") -> Library:
        library = Library(build(source, f"loaded{len(libraries)}"), config)
        libraries.append(library)
        assert library.init_code == SUCCESS, library.last_error()
        return library

    yield load
    for library in libraries:
        library.destroy()
