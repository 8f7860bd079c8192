"""Reads plugin libraries of any SDK: their architecture, their metadata, and the Python that they bring."""

from __future__ import annotations

import json
import signal
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from falco_plugin._build import host, library
from falco_plugin._build import target as targets
from falco_plugin._build.errors import TargetError
from falco_plugin._build.package import elf

_HOST = "falco-plugin-host: "


@dataclass(frozen=True)
class Metadata:
    """The values that Falco reads from a library before it initialises the plugin."""

    name: str
    version: str
    description: str
    contact: str
    required_api_version: str
    id: int | None
    """The id; ``None`` for a plugin that makes no events."""
    event_source: str | None
    """The source of its events; ``None`` for a plugin that makes no events."""
    extract_event_sources: list[str]
    fields: list[Any]
    schema: Any

    def event_sources(self) -> list[str]:
        """Returns the sources of the events that its rules can be for; empty if they can be for every source."""
        own = [self.event_source] if self.event_source is not None else []
        return own + [source for source in self.extract_event_sources if source not in own]


@dataclass(frozen=True)
class PluginLibrary:
    """A plugin library, read completely."""

    path: str
    data: bytes
    architecture: str
    """As OCI platforms name it: ``amd64`` or ``arm64``."""
    metadata: Metadata
    manifest: Mapping[str, str] | None
    """The manifest of a library of this SDK; ``None`` for a library of another SDK."""

    @property
    def is_linked(self) -> bool:
        """Whether it is a library of this SDK that brings no Python."""
        return self.manifest is not None and "contents" not in self.manifest

    @property
    def contents(self) -> dict[str, Any] | None:
        """The contents of a self-contained library of this SDK; ``None`` for other libraries."""
        if self.manifest is None or "contents" not in self.manifest:
            return None
        contents: dict[str, Any] = json.loads(self.manifest["contents"])
        return contents


def read(path: str) -> PluginLibrary:
    """Reads a plugin library. A library for another architecture is read without running it.

    Raises:
        TargetError: the file is not a plugin library, is damaged, or cannot be read.
    """
    if Path(path).is_dir() or not targets.is_library(path):
        raise TargetError(f"{path} is not a library: build it first (falco-plugin build {path}), and give the result")
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise TargetError(f"cannot read {path}: {error.strerror}") from None
    architecture = elf.architecture_of(path, data)
    try:
        manifest = library.check(data)
    except library.DamagedError:
        raise TargetError(
            f"{path} was cut, stripped or changed after it was built: build it again with 'falco-plugin build'"
        ) from None
    if elf.is_of_this_machine(architecture):
        metadata = _ask_library(path, data)
    elif manifest is not None:
        metadata = _read_manifest(path, data, manifest)
    else:
        machine = elf.machine_of(architecture)
        raise TargetError(
            f"{path} is for {machine} and was not built by this SDK, so its metadata can only be read on {machine}: "
            "package it there"
        )
    return PluginLibrary(path, data, architecture, metadata, manifest)


def _ask_library(path: str, data: bytes) -> Metadata:
    """Loads a library in the native host, which reads the metadata and checks them by Falco's rules."""
    with tempfile.TemporaryDirectory(prefix="falco-plugin-") as folder:
        # A copy, so that the metadata are those of the bytes that are packaged.
        copy = Path(folder, "library.so")
        copy.write_bytes(data)
        status, stdout, stderr = host.output(["info", copy, "--json"])
        if status != 0:
            raise TargetError(_failure(path, copy, status, stderr))
    info = json.loads(stdout)
    return Metadata(**{name: info[name] for name in Metadata.__dataclass_fields__})


def _failure(path: str, copy: Path, status: int, stderr: str) -> str:
    """Returns why the host rejects a library. The host knows it by the path of a copy."""
    if status < 0:
        names = {member.value: member.name for member in signal.Signals}
        return f"{path} crashed the host with {names.get(-status, 'a signal')} (signal {-status})"
    reported = [line for line in stderr.splitlines() if line.startswith(_HOST)]
    reason = reported[-1].removeprefix(_HOST) if reported else f"the host ended with status {status}"
    if str(copy) in reason:
        return reason.replace(str(copy), path)
    return f"{path}: {reason}"


def _read_manifest(path: str, data: bytes, manifest: Mapping[str, str]) -> Metadata:
    """Returns the metadata of a library of this SDK. Falco's rules were checked when it was built."""
    if "required_api_version" not in manifest:
        raise TargetError(
            f"{path} was built by falco-plugin-sdk {manifest.get('sdk_version', '')}, whose libraries cannot be read "
            "on another architecture: build it again with this version"
        )
    is_source = library.is_source(data)
    return Metadata(
        name=manifest["name"],
        version=manifest["version"],
        description=manifest["description"],
        contact=manifest["contact"],
        required_api_version=manifest["required_api_version"],
        id=int(manifest["id"]) if is_source else None,
        event_source=manifest["event_source"] if is_source else None,
        extract_event_sources=json.loads(manifest["extract_event_sources"]) if manifest["fields"] else [],
        fields=json.loads(manifest["fields"] or "[]"),
        schema=json.loads(manifest["schema"]) if manifest["schema"] else None,
    )
