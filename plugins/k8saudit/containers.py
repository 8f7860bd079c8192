"""The fields of a pod's containers, the same for each of its three lists of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from falco_plugin import Event, field, json_field
from falco_plugin.fields import JsonField

from .document import elements, find, repository, text

_LISTS = {
    "containers": "containers",
    "initContainers": "init containers",
    "ephemeralContainers": "ephemeral containers",
}
_WITHOUT_PORTS = "ephemeralContainers"

_POINTERS = {
    "name": ("name", "Names of the {}"),
    "image": ("image", "Images of the {}"),
    "privileged": ("securityContext/privileged", "Whether the {} are privileged, of those that say so"),
    "allow_privilege_escalation": (
        "securityContext/allowPrivilegeEscalation",
        "Whether the {} may gain privileges, of those that say so",
    ),
    "read_only_fs": (
        "securityContext/readOnlyRootFilesystem",
        "Whether the root file systems of the {} are read-only, of those that say so",
    ),
    "run_as_user": ("securityContext/runAsUser", "User ids that the {} have themselves"),
    "run_as_group": ("securityContext/runAsGroup", "Group ids that the {} have themselves"),
    "proc_mount": ("securityContext/procMount", "How /proc is mounted in the {}, of those that say so"),
    "add_capabilities": ("securityContext/capabilities/add/*", "Capabilities that are added to the {}"),
}


def _command(container: Any, spec: Any) -> Iterator[str]:
    yield from _joined(find(container, "command"))


def _args(container: Any, spec: Any) -> Iterator[str]:
    yield from _joined(find(container, "args"))


def _joined(words: Any) -> Iterator[str]:
    if isinstance(words, list):
        yield " ".join(map(text, words))


def _host_ports(container: Any, spec: Any) -> Iterator[str]:
    for port in elements(find(container, "ports")):
        on_host, own = find(port, "hostPort"), find(port, "containerPort")
        if on_host is not None:
            yield text(on_host)
        elif own is not None:
            yield text(own)


def _user(container: Any, spec: Any) -> Iterator[str]:
    yield _effective(container, spec, "runAsUser")


def _group(container: Any, spec: Any) -> Iterator[str]:
    yield _effective(container, spec, "runAsGroup")


def _effective(container: Any, spec: Any, identity: str) -> str:
    for place in (container, spec):
        value = find(place, "securityContext", identity)
        if value is not None:
            return text(value)
    return "0"


_Values = Callable[[Any, Any], Iterator[str]]
_COMPUTED: dict[str, tuple[_Values, str]] = {
    "command": (_command, "Commands of the {}, of each its words joined by spaces"),
    "args": (_args, "Arguments of the commands of the {}, of each joined by spaces"),
    "eff_run_as_user": (_user, "User ids of the {}: their own, else the pod's, else 0"),
    "eff_run_as_group": (_group, "Group ids of the {}: their own, else the pod's, else 0"),
    "host_port": (_host_ports, "Ports of the {} on the host, or their own where these have none there"),
}


class ContainerFields:
    """Fields ``ka.req.pod.containers.*``, ``ka.req.pod.initContainers.*`` and ``ka.req.pod.ephemeralContainers.*``."""


def _computed(name: str, member: str, values: _Values, desc: str) -> object:
    @field(name, desc=desc)
    def method(self: object, event: Event, index: int | None = None) -> list[str]:
        spec = find(event.json, "requestObject", "spec")
        return [value for container in elements(find(spec, member), index) for value in values(container, spec)]

    return method


def _repositories(name: str, images: JsonField[list[str]], desc: str) -> object:
    # Rules ask for this one in conditions: it decodes no event.
    @field(name, desc=desc)
    def method(self: object, event: Event, index: int | None = None) -> list[str]:
        return [repository(image) for image in images(event, index) or ()]

    return method


def _declared(member: str, noun: str) -> Iterator[tuple[str, object]]:
    prefix = f"ka.req.pod.{member}"
    for name, (pointer, desc) in _POINTERS.items():
        whole = f"/requestObject/spec/{member}/{{index|*}}/{pointer}"
        values = json_field(f"{prefix}.{name}", whole, type=list[str], desc=desc.format(noun))
        yield name, values
        if name == "image":
            desc = f"Images of the {noun}, without tag and digest"
            yield "repository", _repositories(f"{prefix}.image.repository", values, desc)
    for name, (compute, desc) in _COMPUTED.items():
        if name != "host_port" or member != _WITHOUT_PORTS:
            yield name, _computed(f"{prefix}.{name}", member, compute, desc.format(noun))


for member, noun in _LISTS.items():
    for name, declared in _declared(member, noun):
        setattr(ContainerFields, f"{member}_{name}", declared)
