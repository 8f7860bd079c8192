"""Compares the fields of audit events with expected.fields, and with a second implementation of the fields.

The second implementation walks through decoded events and shares no code with the plugin. It wrote expected.fields,
which lists the fields of each event, and which was checked by reading: ``python test_k8saudit_fields.py
>expected.fields``.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from plugins.k8saudit.plugin import K8sAudit

from falco_plugin import Event
from falco_plugin.testing import collect

K8SAUDIT = Path(__file__).parent
SAMPLE = K8SAUDIT / "sample.jsonl"
REAL = K8SAUDIT.parents[2] / "shared/data/k8s-audit.jsonl"
EXPECTED = K8SAUDIT / "expected.fields"

# The paths of values: names of members, "*" for each element, "?" for the element that the argument selects, or each.
POD = "requestObject spec "
PLACES = {
    "ka.auditid": "auditID",
    "ka.stage": "stage",
    "ka.auth.decision": "annotations authorization.k8s.io/decision",
    "ka.auth.reason": "annotations authorization.k8s.io/reason",
    "ka.auth.openshift.decision": "annotations authentication.openshift.io/decision",
    "ka.auth.openshift.username": "annotations authentication.openshift.io/username",
    "ka.validations.admission.policy.failure": "annotations validation.policy.admission.k8s.io/validation_failure",
    "ka.security.pod.violations": "annotations pod-security.kubernetes.io/audit-violations",
    "ka.user.name": "user username",
    "ka.user.groups": "user groups *",
    "ka.impuser.name": "impersonatedUser username",
    "ka.verb": "verb",
    "ka.uri": "requestURI",
    "ka.target.name": "objectRef name",
    "ka.target.namespace": "objectRef namespace",
    "ka.target.resource": "objectRef resource",
    "ka.target.subresource": "objectRef subresource",
    "ka.req.binding.subjects": "requestObject subjects *",
    "ka.req.binding.role": "requestObject roleRef name",
    "ka.req.configmap.name": "objectRef name",
    "ka.req.configmap.obj": "requestObject data",
    "ka.req.container.image": POD + "containers 0 image",
    "ka.req.container.host_network": POD + "hostNetwork",
    "ka.req.pod.host_ipc": POD + "hostIPC",
    "ka.req.pod.host_network": POD + "hostNetwork",
    "ka.req.pod.host_pid": POD + "hostPID",
    "ka.req.pod.run_as_user": POD + "securityContext runAsUser",
    "ka.req.pod.run_as_group": POD + "securityContext runAsGroup",
    "ka.req.pod.fs_group": POD + "securityContext fsGroup",
    "ka.req.pod.supplemental_groups": POD + "securityContext supplementalGroups *",
    "ka.req.role.rules": "requestObject rules *",
    "ka.req.role.rules.apiGroups": "requestObject rules ? apiGroups *",
    "ka.req.role.rules.nonResourceURLs": "requestObject rules ? nonResourceURLs *",
    "ka.req.role.rules.verbs": "requestObject rules ? verbs *",
    "ka.req.role.rules.resources": "requestObject rules ? resources *",
    "ka.req.service.type": POD + "type",
    "ka.req.pod.volumes.hostpath": POD + "volumes ? hostPath path",
    "ka.req.pod.volumes.flexvolume_driver": POD + "volumes ? flexVolume driver",
    "ka.resp.name": "responseObject metadata name",
    "ka.response.code": "responseStatus code",
    "ka.response.reason": "responseStatus reason",
    "ka.useragent": "userAgent",
    "ka.sourceips": "sourceIPs ?",
    "ka.cluster.name": "annotations cluster_name",
}
PLACES_OF_CONTAINERS = {
    "name": "name",
    "image": "image",
    "privileged": "securityContext privileged",
    "allow_privilege_escalation": "securityContext allowPrivilegeEscalation",
    "read_only_fs": "securityContext readOnlyRootFilesystem",
    "run_as_user": "securityContext runAsUser",
    "run_as_group": "securityContext runAsGroup",
    "proc_mount": "securityContext procMount",
    "add_capabilities": "securityContext capabilities add *",
}
CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
# Fields with arguments, which are extracted in addition to all fields without one.
WITH_ARGUMENTS = [
    "ka.uri.param[command]",
    "ka.uri.param[container]",
    "ka.uri.param[tty]",
    "ka.uri.param[pretty]",
    "ka.req.binding.subject.has_name[alice@example.com]",
    "ka.req.volume.hostpath[/etc]",
    "ka.req.volume.hostpath[/var*]",
    "ka.req.volume.hostpath[/usr]",
    "ka.req.pod.containers.image[1]",
    "ka.req.pod.containers.image.repository[0]",
    "ka.req.pod.containers.add_capabilities[0]",
    "ka.req.pod.containers.command[0]",
    "ka.req.pod.containers.args[1]",
    "ka.req.pod.containers.host_port[0]",
    "ka.req.pod.containers.eff_run_as_user[1]",
    "ka.req.pod.containers.privileged[9]",
    "ka.req.pod.volumes.volume_type[1]",
    "ka.req.pod.volumes.hostpath[3]",
    "ka.req.role.rules.verbs[1]",
    "ka.req.service.ports[1]",
    "ka.sourceips[1]",
]

Walk = Callable[[Any, "str | None"], "str | list[str] | None"]


def text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def places(value: Any, tokens: list[str], index: str | None = None) -> Iterator[Any]:
    """Yields all values at a path, except null."""
    if not tokens:
        if value is not None:
            yield value
        return
    token, *rest = tokens
    if isinstance(value, dict):
        if token in value and token not in ("*", "?"):
            yield from places(value[token], rest, index)
    elif isinstance(value, list):
        if token == "?" and index is not None:
            token = index
        chosen = value if token in ("*", "?") else [each for number, each in enumerate(value) if str(number) == token]
        for each in chosen:
            yield from places(each, rest, index)


def at(place: str) -> Walk:
    tokens = place.split()

    def walk(event: Any, argument: str | None) -> str | list[str] | None:
        found = [text(value) for value in places(event, tokens, argument)]
        return (found or None) if {"*", "?"} & {*tokens} else (found[0] if found else None)

    return walk


def only(value: Any, *tokens: str) -> Any:
    return next(places(value, list(tokens)), None)


def of_containers(member: str, values: Callable[[Any, Any], list[Any]]) -> Walk:
    def walk(event: Any, argument: str | None) -> list[str] | None:
        spec = only(event, "requestObject", "spec")
        containers = only(spec, member)
        containers = list(enumerate(containers)) if isinstance(containers, list) else []
        chosen = [each for number, each in containers if argument in (None, str(number))]
        return [text(value) for each in chosen for value in values(each, spec)] or None

    return walk


def joined(name: str) -> Callable[[Any, Any], list[Any]]:
    def values(container: Any, spec: Any) -> list[Any]:
        words = only(container, name)
        return [" ".join(map(text, words))] if isinstance(words, list) else []

    return values


def effective(name: str) -> Callable[[Any, Any], list[Any]]:
    def values(container: Any, spec: Any) -> list[Any]:
        given = [only(place, "securityContext", name) for place in (container, spec)]
        return [*(value for value in given if value is not None), 0][:1]

    return values


def host_ports(container: Any, spec: Any) -> list[Any]:
    ports = places(container, ["ports", "*"])
    numbers = [[only(port, "hostPort"), only(port, "containerPort")] for port in ports]
    return [value for pair in numbers for value in [each for each in pair if each is not None][:1]]


def repository(image: str) -> str:
    named = re.match(r"(.*/)?[^/:@]*", re.sub("@.*", "", image, flags=re.DOTALL), re.DOTALL)
    assert named is not None
    return named[0]


def repositories(container: Any, spec: Any) -> list[Any]:
    return [repository(text(image)) for image in places(container, ["image"])]


def subjects(kind: str, *names: str) -> Walk:
    def walk(event: Any, argument: str | None) -> list[str] | None:
        found = [
            subject for subject in places(event, ["requestObject", "subjects", "*"]) if only(subject, "kind") == kind
        ]
        parts = [[only(subject, name) for name in names] for subject in found]
        return [":".join(map(text, part)) for part in parts if None not in part] or None

    return walk


def uri_parameter(event: Any, argument: str | None) -> str | None:
    query = urlsplit(text(event["requestURI"])).query if event.get("requestURI") is not None else ""
    return parse_qs(query, keep_blank_values=True).get(argument or "", [None])[0]


def target_pod(event: Any, argument: str | None) -> str | None:
    kind = [only(event, "objectRef", name) for name in ("resource", "subresource")]
    name = only(event, "responseObject", "metadata", "name")
    return None if name is None or kind not in (["pods", None], ["pods", ""]) else text(name)


def first_repository(event: Any, argument: str | None) -> str | None:
    image = only(event, "requestObject", "spec", "containers", "0", "image")
    return None if image is None else repository(text(image))


def service_ports(event: Any, argument: str | None) -> list[str] | None:
    ports = only(event, "requestObject", "spec", "ports")
    return None if ports is None else [text(ports)]


def any_privileged(event: Any, argument: str | None) -> str | None:
    if only(event, "requestObject", "spec", "containers") is None:
        return None
    return text(
        True in [v for v in places(event, f"{POD} containers * securityContext privileged".split()) if v is True]
    )


def host_path(event: Any, argument: str | None) -> str | None:
    assert argument is not None
    if only(event, "requestObject", "spec", "volumes") is None:
        return None
    paths = [text(path) for path in places(event, f"{POD} volumes * hostPath path".split())]
    return text(any(path == argument or (argument[-1] == "*" and path.startswith(argument[:-1])) for path in paths))


def volume_types(event: Any, argument: str | None) -> list[str] | None:
    volumes = only(event, "requestObject", "spec", "volumes")
    chosen = [v for n, v in enumerate(volumes) if argument in (None, str(n))] if isinstance(volumes, list) else []
    return [name for volume in chosen if isinstance(volume, dict) for name in volume if name != "name"] or None


WALKS: dict[str, Walk] = {
    **{name: at(place) for name, place in PLACES.items()},
    **{
        f"ka.req.pod.{member}.{name}": at(f"{POD} {member} ? {place}")
        for member in CONTAINERS
        for name, place in PLACES_OF_CONTAINERS.items()
    },
    **{
        f"ka.req.pod.{member}.{name}": of_containers(member, values)
        for member in CONTAINERS
        for name, values in {
            "image.repository": repositories,
            "command": joined("command"),
            "args": joined("args"),
            "eff_run_as_user": effective("runAsUser"),
            "eff_run_as_group": effective("runAsGroup"),
            "host_port": host_ports,
        }.items()
        if (member, name) != ("ephemeralContainers", "host_port")
    },
    "ka.uri.param": uri_parameter,
    "ka.target.pod.name": target_pod,
    "ka.req.service.ports": service_ports,
    "ka.req.binding.subjects.user_names": subjects("User", "name"),
    "ka.req.binding.subjects.serviceaccount_names": subjects("ServiceAccount", "name"),
    "ka.req.binding.subjects.serviceaccount_ns_names": subjects("ServiceAccount", "namespace", "name"),
    "ka.req.binding.subjects.group_names": subjects("Group", "name"),
    "ka.req.binding.subject.has_name": lambda event, argument: None if event.get("auditID") is None else "true",
    "ka.req.container.image.repository": first_repository,
    "ka.req.container.privileged": any_privileged,
    "ka.req.volume.hostpath": host_path,
    "ka.req.pod.volumes.volume_type": volume_types,
}
KEYED = {"ka.uri.param", "ka.req.binding.subject.has_name", "ka.req.volume.hostpath"}
ASKED = sorted([*WALKS.keys() - KEYED, *WITH_ARGUMENTS])

OFFICIAL = """
    ka.auditid ka.stage ka.auth.decision ka.auth.reason ka.auth.openshift.decision
    ka.validations.admission.policy.failure ka.security.pod.violations ka.auth.openshift.username ka.user.name
    ka.user.groups* ka.impuser.name ka.verb ka.uri ka.uri.param[key!] ka.target.name ka.target.namespace
    ka.target.resource ka.target.subresource ka.target.pod.name ka.req.binding.subjects*
    ka.req.binding.subjects.user_names* ka.req.binding.subjects.serviceaccount_names*
    ka.req.binding.subjects.serviceaccount_ns_names* ka.req.binding.subjects.group_names* ka.req.binding.role
    ka.req.binding.subject.has_name[key!] ka.req.configmap.name ka.req.configmap.obj ka.req.pod.containers.args*[index]
    ka.req.pod.containers.command*[index] ka.req.pod.containers.name*[index] ka.req.pod.containers.image*[index]
    ka.req.container.image ka.req.pod.containers.image.repository*[index] ka.req.container.image.repository
    ka.req.pod.host_ipc ka.req.pod.host_network ka.req.container.host_network ka.req.pod.host_pid
    ka.req.pod.containers.host_port*[index] ka.req.pod.containers.privileged*[index] ka.req.container.privileged
    ka.req.pod.containers.allow_privilege_escalation*[index] ka.req.pod.containers.read_only_fs*[index]
    ka.req.pod.run_as_user ka.req.pod.containers.run_as_user*[index] ka.req.pod.containers.eff_run_as_user*[index]
    ka.req.pod.run_as_group ka.req.pod.containers.run_as_group*[index] ka.req.pod.containers.eff_run_as_group*[index]
    ka.req.pod.containers.proc_mount*[index] ka.req.role.rules* ka.req.role.rules.apiGroups*[index]
    ka.req.role.rules.nonResourceURLs*[index] ka.req.role.rules.verbs*[index] ka.req.role.rules.resources*[index]
    ka.req.pod.fs_group ka.req.pod.supplemental_groups* ka.req.pod.containers.add_capabilities*[index]
    ka.req.service.type ka.req.service.ports*[index] ka.req.pod.volumes.hostpath*[index] ka.req.volume.hostpath[key!]
    ka.req.pod.volumes.flexvolume_driver*[index] ka.req.pod.volumes.volume_type*[index] ka.resp.name ka.response.code
    ka.response.reason ka.useragent ka.sourceips*[index] ka.cluster.name
"""
"""The 71 fields of the official plugin 0.17.0: "*" marks a list, "!" a required argument."""
NEWER = """
    name image image.repository command args privileged allow_privilege_escalation read_only_fs run_as_user
    eff_run_as_user run_as_group eff_run_as_group proc_mount add_capabilities
"""
"""The endings of the newer fields for init and ephemeral containers. Init containers also have ``host_port``."""


def events_of(log: Path) -> list[Any]:
    decoded = map(json.loads, log.read_text().splitlines())
    return list(chain.from_iterable(each["items"] if each["kind"] == "EventList" else [each] for each in decoded))


def present(event: Any) -> dict[str, Any]:
    """Returns the fields of an event that the second implementation finds."""
    found = {}
    for name in ASKED:
        field, _, argument = name.rstrip("]").partition("[")
        value = WALKS[field](event, argument or None)
        if value is not None:
            found[name] = value
    return found


def expected() -> dict[str, list[dict[str, Any]]]:
    """Returns the fields in expected.fields, for each event of each log."""
    logs: dict[str, list[dict[str, Any]]] = {}
    for line in EXPECTED.read_text().splitlines():
        if heading := re.match(r"# (\S+)", line):
            logs.setdefault(heading[1], []).append({})
            fields = logs[heading[1]][-1]
        elif line:
            name, value = line.split(maxsplit=1)
            fields[name] = json.loads(value)
    return logs


def write_expected(logs: list[Path]) -> None:
    for log in logs:
        for number, event in enumerate(events_of(log), 1):
            target = event.get("objectRef", {})
            about = [event["verb"], target.get("resource", ""), target.get("subresource", "")]
            print(f"# {log.name} event {number}: {' '.join(filter(None, about))}\n")
            for name, value in present(event).items():
                print(f"{name:<55} {json.dumps(value, ensure_ascii=False)}")
            print()


def extracted(log: Path) -> list[dict[str, Any]]:
    """Returns the fields that the plugin extracts in the native host."""
    events = collect(K8SAUDIT, str(log), fields=ASKED, timeout=60)
    return [{name: event.fields[name] for name in ASKED if event.fields[name] is not None} for event in events]


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    """The metadata of the plugin."""
    command = [sys.executable, "-P", "-m", "falco_plugin", "info", str(K8SAUDIT), "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def written(field: dict[str, Any]) -> str:
    argument = field.get("arg", {})
    kinds = [kind for kind, key in (("index", "isIndex"), ("key", "isKey")) if argument.get(key)]
    marked = f"[{','.join(kinds)}{'!' if argument['isRequired'] else ''}]" if argument else ""
    return f"{field['name']}{'*' if field['isList'] else ''}{marked}"


def test_fields_have_official_names_types_and_arguments(described: dict[str, Any]) -> None:
    fields = described["fields"]
    official = OFFICIAL.split()
    newer = [f"ka.req.pod.{member}.{end}*[index]" for member in CONTAINERS[1:] for end in NEWER.split()]
    newer.append("ka.req.pod.initContainers.host_port*[index]")
    assert (len(official), len(newer)) == (71, 29)
    assert sorted(map(written, fields)) == sorted(official + newer)
    assert {field["type"] for field in fields} == {"string"}


def test_plugin_has_official_name_version_and_source(described: dict[str, Any]) -> None:
    assert (described["name"], described["id"], described["event_source"]) == ("k8saudit", 1, "k8s_audit")
    major, minor, _ = map(int, described["version"].split("."))
    # The official rules require this major version, and at least this minor version.
    assert (0, 7) <= (major, minor) < (1, 0)


@pytest.mark.parametrize("log", [SAMPLE, REAL], ids=lambda log: log.name)
def test_fields_have_expected_values(log: Path) -> None:
    if not log.exists():
        pytest.skip("there are no real logs beside the checkout")
    for number, (fields, wanted) in enumerate(zip(extracted(log), expected()[log.name], strict=True), 1):
        assert fields == wanted, f"{log.name} event {number}"


def test_sample_has_a_value_for_each_field() -> None:
    seen = {name.partition("[")[0] for fields in expected()[SAMPLE.name] for name in fields}
    assert seen == set(WALKS)


def test_damaged_events_keep_their_readable_fields(tmp_path: Path) -> None:
    chance = random.Random(2026)
    events = [damaged(json.loads(line), chance) for line in SAMPLE.read_text().splitlines()[:6] for _ in range(40)]
    log = tmp_path / "damaged.jsonl"
    log.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    for event, fields in zip(events, extracted(log), strict=True):
        assert fields == present(event), json.dumps(event)


def damaged(event: Any, chance: random.Random) -> Any:
    """Replaces or removes some members of an event."""
    for _ in range(4):
        places = [(value, key) for value, key in members(event) if key not in ("kind", "requestObject", "spec")]
        value, key = chance.choice(places)
        other = chance.choice([None, True, 5, "", "a:b", [], {}, [None, 1, "x"], {"kind": "User", "name": None}, ...])
        if other is not ...:
            value[key] = other
        elif isinstance(value, dict):
            del value[key]
    return event


def members(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from members(value[key])


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("nginx", "nginx"),
        ("nginx:1.27", "nginx"),
        ("nginx@sha256:abc", "nginx"),
        ("docker.io/library/nginx:1.27", "docker.io/library/nginx"),
        ("localhost:5000/shop/web", "localhost:5000/shop/web"),
        ("localhost:5000/shop/web:2@sha256:abc", "localhost:5000/shop/web"),
        ("", ""),
    ],
)
def test_image_repository_keeps_registry_and_port(image: str, name: str) -> None:
    event = {"kind": "Event", "requestObject": {"spec": {"containers": [{"image": image}]}}}
    assert K8sAudit().first_repository(Event(json.dumps(event).encode())) == name


if __name__ == "__main__":
    write_expected([SAMPLE, REAL])
