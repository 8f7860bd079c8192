"""Builds the libraries that several files of this folder run."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.commands import RUN, SHOP
from support.libraries import build_changed, build_plugin
from support.packages import SOURCE, Change


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds the plugin `RUN`."""
    return build_plugin(tmp_path_factory.mktemp("runs"), RUN, "runs")


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds the plugin `SHOP`."""
    return build_plugin(tmp_path_factory.mktemp("shop"), SHOP, "shop")


@pytest.fixture(scope="session")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A linked library."""
    return build_plugin(tmp_path_factory.mktemp("packaged"), SOURCE, "linked", self_contained=False)


@pytest.fixture(scope="session")
def self_contained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-contained library."""
    return build_plugin(tmp_path_factory.mktemp("packaged"), SOURCE, "whole", self_contained=True)


@pytest.fixture
def changed(tmp_path: Path) -> Change:
    """Builds a linked library with other values in its manifest, and with another file name if asked."""

    def build(source: str = SOURCE, file: str = "changed", **manifest: str) -> Path:
        return build_changed(tmp_path, source, file, **manifest)

    return build
