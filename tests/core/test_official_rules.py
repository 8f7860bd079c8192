"""The rules files of the official plugins have no problem on plugins that declare the official fields.

They are read from a checkout of github.com/falcosecurity/plugins, which the variable ``FALCO_PLUGINS_SOURCE`` names.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from falco_plugin._rules import files, rules
from falco_plugin._rules.fields import Plugin, Sources

CHECKOUT = os.environ.get("FALCO_PLUGINS_SOURCE", "")
OFFICIAL = {
    "k8saudit": ("k8s_audit", "k8saudit", ["k8saudit/rules/k8s_audit_rules.yaml"]),
    "k8saudit-gke": (
        "k8s_audit",
        "k8saudit",
        ["k8saudit-gke/rules/k8s_audit_rules.yaml", "k8saudit-gke/rules/k8s_audit_rules_gke.yaml"],
    ),
    "cloudtrail": ("aws_cloudtrail", "cloudtrail", ["cloudtrail/rules/aws_cloudtrail_rules.yaml"]),
    "gcpaudit": ("gcp_auditlog", "gcpaudit", ["gcpaudit/rules/gcp_auditlog_rules.yaml"]),
    "github": ("github", "github", ["github/rules/github.yaml"]),
    "okta": ("okta", "okta", ["okta/rules/okta_rules.yaml"]),
}
"""The source of a plugin, the folder of the code with its fields, and its rules files."""
FIELD = re.compile(r"\{\s*(?:Name|Type)\s*:[^{}]*?(?:\{[^{}]*\}[^{}]*?)*\}")


def declared(folder: Path) -> list[dict[str, Any]]:
    """Returns the fields that Go code declares, as ``falco-plugin info --json`` shows fields."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.rglob("*.go")):
        if path.name.endswith("_test.go"):
            continue
        for match in FIELD.finditer(path.read_text()):
            code = re.sub(r"\s+", " ", match.group())
            name = re.search(r'Name:\s*"([^"]+\.[^"]+)"', code)
            kind = re.search(r'Type:\s*"(\w+)"', code)
            if name and kind:
                flags = {
                    flag: f"{flag}: true" in code.replace("  ", " ") for flag in ("IsKey", "IsIndex", "IsRequired")
                }
                found[name[1]] = {
                    "name": name[1],
                    "type": kind[1],
                    "isList": "IsList: true" in code,
                    "arg": {f"{flag[0].lower()}{flag[1:]}": value for flag, value in flags.items()},
                }
    for name, field in list(found.items()):
        # The code of these fields is shared, and their names are put together when it runs.
        for kind in ("initContainers", "ephemeralContainers"):
            other = name.replace("ka.req.pod.containers.", f"ka.req.pod.{kind}.")
            found.setdefault(other, {**field, "name": other})
    return list(found.values())


@pytest.mark.skipif(not CHECKOUT, reason="FALCO_PLUGINS_SOURCE does not name a checkout of falcosecurity/plugins")
@pytest.mark.parametrize("name", OFFICIAL)
def test_official_rules_have_no_problem(name: str) -> None:
    source, code, paths = OFFICIAL[name]
    folder = Path(CHECKOUT, "plugins")
    about = {"version": "0.99.0", "extract_event_sources": []}
    plugins = [
        {**about, "name": name, "event_source": source, "fields": declared(folder / code)},
        {**about, "name": "json", "event_source": None, "fields": declared(folder / "json")},
    ]
    read = [files.read(str(folder / path)) for path in paths]
    found = rules.check(read, Sources(map(Plugin.of, plugins)))
    assert [str(problem) for problem in found if problem.severity != "note"] == []
    assert all("is not enabled" in problem.message or "is not used" in problem.message for problem in found)


SAMPLE = """
- required_engine_version: 0.47.0
- required_plugin_versions:
    - name: audit
      version: 0.18.0
      alternatives:
        - {name: audit-cloud, version: 0.2.0}
    - name: json
      version: 0.7.0
- macro: consider_all
  condition: (audit.verb exists)
- macro: changes
  condition: (audit.verb in (create,update,patch) and not audit.uri startswith /health)
- list: allowed_users
  items: ["minikube", "system:node", kube-scheduler, "a user"]
- list: system_users
  items: [allowed_users, 'system:serviceaccount:x']
- macro: response_successful
  condition: (json.value[/responseStatus/code] startswith 2)
- rule: Disallowed user
  desc: >
    Detect a user that is
    not allowed
  condition: consider_all and changes and not audit.user in (system_users, "b c")
    and not audit.user pmatch (allowed_users)
  output: User is not allowed (user=%audit.user target=%audit.target/%audit.kind[name] code=%json.value[/a/b~1c])
  priority: WARNING
  source: audit
  tags: [audit, "T1000"]
  exceptions:
    - name: users_of_namespaces
      fields: [audit.user, audit.namespace]
      comps: [in, =]
      values:
        - [[alice, bob], default]
    - name: namespaces
      fields: audit.namespace
- rule: Image that is not known
  desc: d
  condition: |
    changes and response_successful and audit.images exists
    and not audit.images in (docker.io/a, "quay.io/b") and audit.images intersects (x/y, z)
    and (audit.port > 1024 or audit.port=80)
  output: >-
    Image was started (user=%audit.user
    images=%audit.images first=%audit.images[0] time=%evt.time)
  priority: notice
  source: audit
  enabled: false
- rule: Disallowed user
  condition: and not audit.namespace contains test
  exceptions:
    - name: namespaces
      values: [kube-system, a b]
  override:
    condition: append
    exceptions: append
"""
"""Rules with the constructs of the official ones."""
STRING = {"type": "string", "isList": False}
KEYED = {**STRING, "arg": {"isKey": True, "isIndex": False, "isRequired": True}}
INDEXED = {"type": "string", "isList": True, "arg": {"isKey": False, "isIndex": True, "isRequired": False}}


def test_rules_with_constructs_of_official_ones_have_no_problem(tmp_path: Path) -> None:
    fields: list[dict[str, Any]] = [{"name": f"audit.{name}", **STRING} for name in ("verb", "uri", "user", "target")]
    fields += [
        {"name": "audit.namespace", **STRING},
        {"name": "audit.kind", **KEYED},
        {"name": "audit.images", **INDEXED},
        {"name": "audit.port", "type": "uint64"},
    ]
    about = {"version": "0.18.1", "extract_event_sources": []}
    plugins = [
        {**about, "name": "audit", "event_source": "audit", "fields": fields},
        {**about, "name": "json", "event_source": None, "fields": [{"name": "json.value", **KEYED}]},
    ]
    path = tmp_path / "rules.yaml"
    path.write_text(SAMPLE)
    found = rules.check([files.read(str(path))], Sources(map(Plugin.of, plugins)))
    assert [str(problem) for problem in found] == [
        f"{path}:38: note: the rule 'Image that is not known' is not enabled, so it never fires"
    ]
