"""Packages that are pushed, pulled, and installed in minimal systems as falcoctl and the Falco Operator do it.

``make test-roots`` runs this. It needs Go and debootstrap, and must run as root.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support.hosts import native_path
from support.libraries import build_plugin
from support.packages import PLUGIN, SOURCE, artifacts, members, oci, package
from support.roots import FILES, SUITES, run_in_root

pytestmark = [pytest.mark.roots, pytest.mark.slow]

PLUGINS = "usr/share/falco/plugins"


@pytest.fixture(scope="session")
def layer(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The layer of a plugin for this architecture, as a client pulled it from a registry."""
    folder = tmp_path_factory.mktemp("package")
    library = build_plugin(folder, SOURCE, "packaged", self_contained=True)
    artifacts(package(library, "--json", folder=folder / "layout"))
    plugin = oci(folder / "layout", folder / "pulled")["manifests"][0]
    assert plugin["config_media_type"] == f"{PLUGIN}config.v1+json"
    (found,) = plugin["layers"]
    return Path(found["file"]).read_bytes()


def installed_by_falcoctl(layer: bytes) -> dict[str, bytes]:
    """Unpacks all entries into the folder of plugins, under their own names."""
    return {f"{PLUGINS}/{entry.name}": content for entry, content in members(layer)}


def installed_by_operator(layer: bytes) -> dict[str, bytes]:
    """Unpacks the only file of an archive under the name of the resource."""
    ((entry, content),) = members(layer)
    assert entry.isreg()
    return {f"{PLUGINS}/my-plugin.so": content}


@pytest.mark.parametrize("install", [installed_by_falcoctl, installed_by_operator])
@pytest.mark.parametrize("suite", SUITES)
def test_installed_package_runs_in_root(suite: str, install, layer: bytes) -> None:
    installed = install(layer)
    (path,) = installed
    command = [f"{FILES}/host", "run", f"/{path}", "--json"]
    ran = run_in_root(suite, {"host": native_path()}, command, added=installed)
    assert ran.status == 0, ran.stdout + ran.stderr
    assert [line["data"] for line in ran.lines if line["kind"] == "event"] == ["one", "two"]
