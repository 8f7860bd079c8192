"""The fields of containers, the same for each of the three lists of containers that a pod has."""

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
    "privileged": ("securityContext/privileged", "Whether the {} are privileged, if specified"),
    "allow_privilege_escalation": (
        "securityContext/allowPrivilegeEscalation",
        "Whether the {} may gain privileges, if specified",
    ),
    "read_only_fs": (
        "securityContext/readOnlyRootFilesystem",
        "Whether the root file systems of the {} are read-only, if specified",
    ),
    "run_as_user": ("securityContext/runAsUser", "User ids that are specified for the {} themselves"),
    "run_as_group": ("securityContext/runAsGroup", "Group ids that are specified for the {} themselves"),
    "proc_mount": ("securityContext/procMount", "How /proc is mounted in the {}, if specified"),
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
        host_port, container_port = find(port, "hostPort"), find(port, "containerPort")
        if host_port is not None:
            yield text(host_port)
        elif container_port is not None:
            yield text(container_port)


def _user(container: Any, spec: Any) -> Iterator[str]:
    yield _effective(container, spec, "runAsUser")


def _group(container: Any, spec: Any) -> Iterator[str]:
    yield _effective(container, spec, "runAsGroup")


def _effective(container: Any, spec: Any, identity: str) -> str:
    for owner in (container, spec):
        value = find(owner, "securityContext", identity)
        if value is not None:
            return text(value)
    return "0"


_Values = Callable[[Any, Any], Iterator[str]]
_COMPUTED: dict[str, tuple[_Values, str]] = {
    "command": (_command, "Commands of the {}, each with its words joined by spaces"),
    "args": (_args, "Arguments of the {}, joined by spaces for each"),
    "eff_run_as_user": (_user, "Effective user ids of the {}: the container's, else the pod's, else 0"),
    "eff_run_as_group": (_group, "Effective group ids of the {}: the container's, else the pod's, else 0"),
    "host_port": (_host_ports, "Host ports of the {}, or the container port if a port has no host port"),
}


class ContainerFields:
    """Fields ``ka.req.pod.containers.*``, ``ka.req.pod.initContainers.*`` and ``ka.req.pod.ephemeralContainers.*``."""


def _computed_field(name: str, member: str, values: _Values, desc: str) -> object:
    @field(name, desc=desc)
    def method(self: object, event: Event, index: int | None = None) -> list[str]:
        spec = find(event.json, "requestObject", "spec")
        return [value for container in elements(find(spec, member), index) for value in values(container, spec)]

    return method


def _repository_field(name: str, images: JsonField[list[str]], desc: str) -> object:
    # Rules use this field in conditions, so it is computed from a JSON field, without decoding the event.
    @field(name, desc=desc)
    def method(self: object, event: Event, index: int | None = None) -> list[str]:
        return [repository(image) for image in images(event, index) or ()]

    return method


def _fields_of(member: str, noun: str) -> Iterator[tuple[str, object]]:
    prefix = f"ka.req.pod.{member}"
    for name, (pointer, desc) in _POINTERS.items():
        whole = f"/requestObject/spec/{member}/{{index|*}}/{pointer}"
        values = json_field(f"{prefix}.{name}", whole, type=list[str], desc=desc.format(noun))
        yield name, values
        if name == "image":
            desc = f"Images of the {noun}, without tag and digest"
            yield "repository", _repository_field(f"{prefix}.image.repository", values, desc)
    for name, (compute, desc) in _COMPUTED.items():
        if name != "host_port" or member != _WITHOUT_PORTS:
            yield name, _computed_field(f"{prefix}.{name}", member, compute, desc.format(noun))


for member, noun in _LISTS.items():
    for name, declaration in _fields_of(member, noun):
        setattr(ContainerFields, f"{member}_{name}", declaration)
