"""A folder of packages in front of those of the environment, and what a build collects from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from support.collected import Collect
from support.distributions import write
from support.paths import REPOSITORY

from falco_plugin._build import environment, pack
from falco_plugin._build.bundle import cache
from falco_plugin._build.bundle.collect import Collection, collect


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns an empty folder of packages that comes first in the environment."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    folders = (str(folder), *environment.folders())
    monkeypatch.setattr(environment, "folders", lambda: folders)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(REPOSITORY / "target" / "cache"))
    return folder


@pytest.fixture
def collected(site: Path, tmp_path: Path) -> Collect:
    """Collects what a plugin needs: a single file, or the files of a folder."""

    def run(
        code: str = "", *, files: dict[str, str] | None = None, include: Sequence[str] = (), exclude: Sequence[str] = ()
    ) -> Collection:
        path = tmp_path / "plugin"
        if files is None:
            path = path.with_suffix(".py")
            path.write_text(code)
        else:
            write(path, files)
        sources = {name: file.read_bytes() for name, file in pack.files_of(path).items()}
        return collect(path, sources, include, exclude, cache.folder())

    return run
