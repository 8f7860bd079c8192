"""Builds the libraries that several files of this folder run."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.commands import RUN, SHOP
from support.libraries import build_plugin


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds the plugin `RUN`."""
    return build_plugin(tmp_path_factory.mktemp("runs"), RUN, "runs")


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds the plugin `SHOP`."""
    return build_plugin(tmp_path_factory.mktemp("shop"), SHOP, "shop")
