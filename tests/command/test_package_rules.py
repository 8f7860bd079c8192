"""`falco-plugin package --rules`: the artifact of a plugin's rules, and the rules files that it rejects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.commands import check_refused
from support.hosts import MISSING, Output
from support.packages import FIELDS, LINKED, RULES, RULESFILE, Change, artifacts, document, members, package, root

RULE = """
- rule: {name}
  desc: A rule
  source: {source}
  condition: evt.num > 0
  output: An event
  priority: INFO
"""


def package_rules(library: Path, rules: str | bytes, folder: Path, *options: str) -> Output:
    path = folder / "rules.yaml"
    path.write_bytes(rules if isinstance(rules, bytes) else rules.encode())
    return package(library, *LINKED, "--rules", path, *options, folder=folder / "out")


def config_of(library: Path, rules: str, folder: Path) -> dict[str, Any]:
    """Packages rules without a warning, and returns the configuration of their artifact."""
    ran = package_rules(library, rules, folder, "--json")
    artifacts(ran)
    assert ran.stderr == ""
    manifest = document(folder / "out-rules", root(folder / "out-rules")["digest"])
    return document(folder / "out-rules", manifest["config"]["digest"])


def test_rules_are_an_artifact_beside_the_plugin(linked: Path, tmp_path: Path) -> None:
    _, artifact = artifacts(package_rules(linked, RULES, tmp_path, "--json"))
    layout = tmp_path / "out-rules"
    assert artifact == {
        "type": "rulesfile",
        "name": "packaged-rules",
        "version": "0.1.0",
        "folder": str(layout),
        "digest": root(layout)["digest"],
        "files": [
            {
                "file": "packaged_rules.yaml",
                "platform": None,
                "digest": root(layout)["digest"],
                "size": document(layout, root(layout)["digest"])["layers"][0]["size"],
                "sbom": None,
                "glibc": None,
            }
        ],
    }
    manifest = document(layout, artifact["digest"])
    assert root(layout)["annotations"] == {"org.opencontainers.image.ref.name": "0.1.0"}
    assert manifest["config"]["mediaType"] == f"{RULESFILE}config.v1+json"
    assert document(layout, manifest["config"]["digest"]) == {
        "name": "packaged-rules",
        "version": "0.1.0",
        "dependencies": [{"name": "packaged", "version": "0.1.0"}],
        "requirements": [{"name": "engine_version_semver", "version": "0.31.0"}],
    }
    (layer,) = manifest["layers"]
    assert layer["mediaType"] == f"{RULESFILE}layer.v1+tar.gz"
    assert layer["annotations"] == {"org.opencontainers.image.title": "packaged-rules-0.1.0.tar.gz"}
    ((entry, content),) = members((layout / "blobs" / layer["digest"].replace(":", "/")).read_bytes())
    assert (entry.name, entry.mode, content.decode()) == ("packaged_rules.yaml", 0o644, RULES)
    assert manifest["annotations"]["org.opencontainers.image.title"] == "packaged-rules"


ONE = RULE.format(name="A", source="packaged")
REQUIREMENTS = {
    "nothing required": (ONE, [{"name": "packaged", "version": "0.1.0"}], None),
    "number of the engine": (
        f"- required_engine_version: 15\n{ONE}",
        [{"name": "packaged", "version": "0.1.0"}],
        [{"name": "engine_version_semver", "version": "0.15.0"}],
    ),
    "older plugin": (
        f"- required_plugin_versions: [{{name: packaged, version: 0.0.5}}]\n{ONE}",
        [{"name": "packaged", "version": "0.0.5"}],
        None,
    ),
    "other plugins": (
        "- required_plugin_versions:\n  - {name: json, version: 0.7.0}\n  - name: auditor\n    version: 1.0.0-rc.1\n"
        f"    alternatives: [{{name: other, version: 2.0.0}}]\n{ONE}",
        [
            {"name": "auditor", "version": "1.0.0-rc.1", "alternatives": [{"name": "other", "version": "2.0.0"}]},
            {"name": "json", "version": "0.7.0"},
            {"name": "packaged", "version": "0.1.0"},
        ],
        None,
    ),
    "plugin as alternative": (
        "- required_plugin_versions:\n  - name: auditor\n    version: 1.0.0\n"
        f"    alternatives: [{{name: packaged, version: 0.1.0}}]\n{ONE}",
        [{"name": "auditor", "version": "1.0.0", "alternatives": [{"name": "packaged", "version": "0.1.0"}]}],
        None,
    ),
    "several documents": (
        f"---\n{ONE}---\n- required_engine_version: 0.40.0\n",
        [{"name": "packaged", "version": "0.1.0"}],
        [{"name": "engine_version_semver", "version": "0.40.0"}],
    ),
}


@pytest.mark.parametrize("kind", REQUIREMENTS)
def test_rules_config_has_requirements_of_file(linked: Path, tmp_path: Path, kind: str) -> None:
    rules, dependencies, requirements = REQUIREMENTS[kind]
    config = config_of(linked, rules, tmp_path)
    assert (config["dependencies"], config.get("requirements")) == (dependencies, requirements)


BAD_RULES = {
    "not YAML": ("- rule: [", ["rules.yaml:1: not YAML: "]),
    "character that is not allowed": (
        "- rule: A\n- rule: \x07",
        ["rules.yaml:2: not YAML: the character U+0007 is not allowed in YAML: remove it"],
    ),
    "too deep": ("[" * 20_000, ["rules.yaml:1: not YAML: "]),
    "tag of Python": ("- !!python/object/apply:os.system [ls]", ["rules.yaml:1: an entry must be a mapping"]),
    "empty": ("# nothing\n", ["rules.yaml: the file has no rules: leave out --rules"]),
    "mapping": ("rule: A\n", ["rules.yaml:1: not a list of rules, got a mapping: begin each rule with '- rule: …'"]),
    "strings": ("- A\n", ["rules.yaml:1: an entry must be a mapping such as '- rule: …', got 'A'"]),
    "engine is a list": ("- required_engine_version: [1]\n", ["required_engine_version is a list", "0.31.0"]),
    "engine is negative": ("- required_engine_version: -1\n", ["required_engine_version is '-1'"]),
    "engine is true": ("- required_engine_version: true\n", ["required_engine_version is 'true'"]),
    "engine is not semantic": ("- required_engine_version: v1\n", ["required_engine_version is 'v1'"]),
    "plugins are a mapping": ("- required_plugin_versions: {a: 1}\n", ["required_plugin_versions must be a list"]),
    "plugin is a string": ("- required_plugin_versions: [a]\n", ["an entry without the name of a plugin, got 'a'"]),
    "plugin without name": ("- required_plugin_versions: [{version: 1.0.0}]\n", ["without the name of a plugin"]),
    "plugin without version": (
        "- required_plugin_versions: [{name: packaged}]\n",
        ["packaged with no version: use a semantic version"],
    ),
    "plugin with two numbers": (
        "- required_plugin_versions: [{name: packaged, version: 1.0}]\n",
        ["packaged with the version '1.0': use a semantic version, such as 1.2.3"],
    ),
    "alternatives are a string": (
        "- required_plugin_versions: [{name: a, version: 1.0.0, alternatives: b}]\n",
        ["alternatives of the plugin a must be a list"],
    ),
    "newer plugin": (
        "- required_plugin_versions: [{name: packaged, version: 0.1.1}]\n",
        ["rules.yaml:1: the rules require packaged 0.1.1, and Falco does not accept packaged 0.1.0 for it"],
    ),
    "other major version": (
        "- required_plugin_versions: [{name: packaged, version: 1.0.0}]\n",
        ["require packaged 1.0.0, and Falco does not accept packaged 0.1.0 for it"],
    ),
}


@pytest.mark.parametrize("kind", BAD_RULES)
def test_package_rejects_rules(linked: Path, tmp_path: Path, kind: str) -> None:
    rules, messages = BAD_RULES[kind]
    check_refused(package_rules(linked, rules, tmp_path), *messages)
    assert not (tmp_path / "out").exists()


def test_package_reports_missing_rules(linked: Path, tmp_path: Path) -> None:
    ran = package(linked, *LINKED, "--rules", MISSING, folder=tmp_path / "out")
    check_refused(ran, f"{MISSING}: cannot read the file: No such file or directory")


WARNINGS = {
    "other source": (RULE.format(name="B", source="other"), "the rule 'B' is for the event source other"),
    "no source": (ONE.replace("  source: packaged\n", ""), "the rule 'A' is for the event source syscall"),
}


@pytest.mark.parametrize("kind", WARNINGS)
def test_package_warns_of_rules_for_other_source(linked: Path, tmp_path: Path, kind: str) -> None:
    rules, message = WARNINGS[kind]
    ran = package_rules(linked, rules, tmp_path)
    assert ran.status == 0
    (line,) = ran.stderr.splitlines()
    assert line.startswith(
        f"falco-plugin: warning: {tmp_path / 'rules.yaml'}:2: {message}, but packaged has packaged: "
    )


NO_WARNINGS = {
    "override": "- rule: B\n  condition: evt.num > 1\n  override: {condition: append}\n",
    "enabled": "- rule: B\n  enabled: false\n",
    "plugin of the source": (
        f"- required_plugin_versions: [{{name: other, version: 1.0.0}}]\n{RULE.format(name='B', source='other')}"
    ),
    "macro": "- macro: m\n  condition: evt.num > 1\n",
}


@pytest.mark.parametrize("kind", NO_WARNINGS)
def test_package_does_not_warn_of_other_entries(linked: Path, tmp_path: Path, kind: str) -> None:
    ran = package_rules(linked, NO_WARNINGS[kind], tmp_path)
    assert (ran.status, ran.stderr) == (0, "")


def test_sources_of_fields_are_sources_of_rules(changed: Change, tmp_path: Path) -> None:
    library = changed(FIELDS)
    config_of(library, RULE.format(name="A", source="two"), tmp_path)
    ran = package_rules(library, RULE.format(name="A", source="three"), tmp_path)
    assert "for the event source three, but packaged has one, two: " in ran.stderr


def test_fields_for_every_source_allow_each_source(changed: Change, tmp_path: Path) -> None:
    library = changed(FIELDS.replace('    extract_event_sources = ("one", "two")\n', ""))
    config_of(library, RULE.format(name="A", source="three"), tmp_path)
