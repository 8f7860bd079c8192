"""Checks the configuration on the pages of deployment against the plugin that it deploys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.hosts import run_command
from support.pages import blocks_of
from support.paths import REPOSITORY

PAGES = [REPOSITORY / "docs/how-to" / name for name in ("deploy.md", "deploy-to-kubernetes.md")]
BLOCKS = {block.title: block.text for page in PAGES for block in blocks_of(page) if block.title}


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Returns the metadata of the plugin of the page."""
    folder = tmp_path_factory.mktemp("plugin")
    assert run_command("new", "audit", cwd=folder).status == 0
    built = run_command("build", "--linked", "audit", cwd=folder)
    assert built.status == 0, built.stderr
    assert (folder / "audit" / "audit_rules.yaml").exists()
    metadata: dict[str, Any] = json.loads(run_command("info", "--json", "libaudit.so", cwd=folder).stdout)
    return metadata


def configurations() -> Iterator[dict[str, Any]]:
    """Yields each configuration of Falco on the page that has plugins."""
    for title, text in BLOCKS.items():
        if title.endswith(".yaml"):
            for document in yaml.safe_load_all(text):
                configuration = document.get("falco", document)
                if "plugins" in configuration:
                    yield configuration


def test_entries_fit_plugin(plugin: dict[str, Any]) -> None:
    found = list(configurations())
    assert len(found) == 3
    for configuration in found:
        (entry,) = configuration["plugins"]
        assert entry.keys() == {"name", "library_path", "init_config", "open_params"}
        assert [entry["name"]] == configuration["load_plugins"] == [plugin["name"]]
        assert re.fullmatch(rf"libaudit(-{re.escape(plugin['version'])})?\.so", Path(entry["library_path"]).name)


def test_image_and_commands_install_library_of_settings() -> None:
    path = yaml.safe_load(BLOCKS["audit.yaml"])["plugins"][0]["library_path"]
    assert f"libaudit.so {path}\n" in BLOCKS["Dockerfile"]
    assert f"libaudit.so {path}\n" in BLOCKS["install.sh"]


def test_references_of_packages_agree(plugin: dict[str, Any]) -> None:
    values = yaml.safe_load(BLOCKS["values.yaml"])
    images = [
        (document["spec"]["ociArtifact"]["registry"]["name"], *document["spec"]["ociArtifact"]["image"].values())
        for document in yaml.safe_load_all(BLOCKS["operator.yaml"])
        if "ociArtifact" in document["spec"]
    ]
    references = [f"{registry}/{repository}:{tag}" for registry, repository, tag in images]
    assert references == values["falcoctl"]["config"]["artifact"]["install"]["refs"]
    assert references == [f"ghcr.io/example/{name}:{plugin['version']}" for name in ("audit", "audit-rules")]
