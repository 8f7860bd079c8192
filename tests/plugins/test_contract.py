"""Checks that metadata, rules, README, falco.yaml and guide agree for each plugin of the repository."""

from __future__ import annotations

import functools
import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from support.hosts import run_command
from support.paths import REPOSITORY

# confluent-kafka has no wheels for Python 3.15.
MISSING = set() if importlib.util.find_spec("confluent_kafka") else {"kafka"}
FOLDERS = sorted(plugin.parent for plugin in (REPOSITORY / "plugins").glob("*/plugin.py"))
PLUGINS = [folder for folder in FOLDERS if folder.name not in MISSING]
WITH_RULES = [plugin for plugin in PLUGINS if (plugin / "falco.yaml").exists()]
# These READMEs compare fields and settings with those of the official plugin instead of listing them.
WITH_TABLES = [plugin for plugin in WITH_RULES if plugin.name not in ("cloudtrail", "json", "k8saudit")]
OFFICIAL_IDS = {"k8saudit": 1, "cloudtrail": 2}
PRIVATE_IDS = range(2**30, 2**31)

each_with_rules = pytest.mark.parametrize("plugin", WITH_RULES, ids=lambda plugin: plugin.name)


@functools.cache
def metadata(plugin: Path) -> dict[str, Any]:
    """Returns the metadata that a host reads before init."""
    (found,) = run_command("info", "--json", plugin).lines
    return found


def sources() -> list[dict[str, Any]]:
    return [found for plugin in PLUGINS if "sourcing" in (found := metadata(plugin))["capabilities"]]


def rules_of(plugin: Path) -> list[dict[str, Any]]:
    return yaml.safe_load((plugin / f"{plugin.name}_rules.yaml").read_text())


def used_fields(plugin: Path) -> Iterator[tuple[str, bool]]:
    """Yields the fields of the plugin that its rules use, and whether each has an argument."""
    prefixes = "|".join({field["name"].partition(".")[0] for field in metadata(plugin)["fields"]})
    for part in rules_of(plugin):
        for key in ("condition", "output"):
            text = re.sub(r'"[^"]*"', '""', part.get(key, ""))  # a value such as "s3.amazonaws.com" is not a field
            for name, argument in re.findall(rf"\b((?:{prefixes})(?:\.[A-Za-z_]\w*)+)(\[)?", text):
                yield name, bool(argument)


@each_with_rules
def test_rules_use_declared_fields_with_their_arguments(plugin: Path) -> None:
    arguments = {field["name"]: field.get("arg") for field in metadata(plugin)["fields"]}
    used = set(used_fields(plugin))
    assert used
    for name, has_argument in used:
        assert name in arguments
        argument = arguments[name]
        assert argument is not None if has_argument else argument is None or not argument["isRequired"], name


@each_with_rules
def test_rules_are_for_an_event_source_of_the_plugins(plugin: Path) -> None:
    own = [found["event_source"] for found in sources() if found["name"] == plugin.name]
    others = [found["event_source"] for found in sources()]
    assert {rule["source"] for rule in rules_of(plugin) if "rule" in rule} <= set(own or others)


@each_with_rules
def test_falco_yaml_loads_the_plugin_with_a_valid_configuration(plugin: Path) -> None:
    falco = yaml.safe_load((plugin / "falco.yaml").read_text())
    assert falco["load_plugins"] == [entry["name"] for entry in falco["plugins"]]
    assert [Path(file).name for file in falco["rules_files"]] == [f"{plugin.name}_rules.yaml"]
    assert plugin.name in falco["load_plugins"]
    for entry in falco["plugins"]:
        assert Path(entry["library_path"]).name == f"lib{entry['name']}.so"
        found = metadata(plugin.parent / entry["name"])
        assert ("open_params" in entry) == ("sourcing" in found["capabilities"])
        if found["schema"] is not None:
            jsonschema.validate(entry["init_config"] or {}, found["schema"])


@pytest.mark.parametrize("plugin", WITH_TABLES, ids=lambda plugin: plugin.name)
def test_readme_lists_all_fields_and_settings(plugin: Path) -> None:
    rows = re.findall(r"^\| `(\S+)` \|(.*?)\| (.*) \|$", (plugin / "README.md").read_text(), re.MULTILINE)
    # The name in brackets describes the argument.
    written = {
        re.sub(r"\[\w+\]$", "[]", name): (second.strip().replace("`", ""), text.replace("`", ""))
        for name, second, text in rows
    }
    schema = metadata(plugin)["schema"]
    settings = {
        name: (default_of(name, setting, schema), setting["description"])
        for name, setting in schema["properties"].items()
    }
    fields = {
        field["name"] + ("[]" if "arg" in field else ""): (field["type"], field["desc"])
        for field in metadata(plugin)["fields"]
    }
    assert written == settings | fields


def default_of(name: str, setting: dict[str, Any], schema: dict[str, Any]) -> str:
    """Returns the default of a setting as the README must show it."""
    if name in schema.get("required", ()):
        return "required"
    default = setting["default"]
    if default is None:
        return ""
    return default if isinstance(default, str) else json.dumps(default)


def test_one_falco_can_load_all_plugins() -> None:
    # Falco rejects two plugins with the same name, and two sources with the same id or event source.
    assert len(sources()) >= 7 - len(MISSING)
    for key, group in (("name", [*map(metadata, PLUGINS)]), ("id", sources()), ("event_source", sources())):
        values = [plugin[key] for plugin in group]
        assert len(values) == len(set(values)), (key, values)


def test_ids_are_official_or_private_and_listed_in_the_guide() -> None:
    guide = (REPOSITORY / "docs/reference/examples.md").read_text()
    listed = {
        name: int(number)
        for name, number in re.findall(r"^\| \[(\w+)\]\(#\1\) \| .* \| (\d+) \|$", guide, re.MULTILINE)
    }
    assert listed.keys() == {plugin["name"] for plugin in sources()} | MISSING
    for plugin in sources():
        assert listed[plugin["name"]] == plugin["id"]
    for name, number in listed.items():
        assert number == OFFICIAL_IDS[name] if name in OFFICIAL_IDS else number in PRIVATE_IDS, name
