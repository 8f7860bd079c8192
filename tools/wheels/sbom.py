"""Writes the crates that are in a wheel as a bill of materials in the format CycloneDX 1.6.

maturin's bill of materials leaves out the crates of the embedded stub, host and packer, which are separate builds.
"""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

_ROOTS = {
    "Cargo.toml": ("falco-plugin-python", "falco-plugin-host", "falco-plugin-packer"),
    "rust/stub/Cargo.toml": ("falco-plugin-stub",),
}
"""The crates that are linked into files of the wheel, by the workspace that builds them."""


def bill_of_materials(root: Path, triple: str) -> dict[str, Any]:
    """Returns the bill of materials of the wheels for a target. The same sources and tools always have the same one."""
    components: dict[str, dict[str, Any]] = {}
    dependencies: dict[str, set[str]] = {}
    for manifest, names in _ROOTS.items():
        _add_workspace(root / manifest, triple, names, components, dependencies)
    version = next(found["version"] for found in components.values() if found["name"] == "falco-plugin-python")
    sdk = f"pkg:pypi/falco-plugin-sdk@{version}"
    rust = _rust()
    linked = [ref for ref, found in components.items() if found["name"] in sum(_ROOTS.values(), ())]
    for ref in linked:
        dependencies[ref].add(rust["bom-ref"])
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            **_timestamp(),
            "component": {
                "type": "library",
                "bom-ref": sdk,
                "name": "falco-plugin-sdk",
                "version": version,
                "licenses": [{"expression": "Apache-2.0"}],
                "purl": sdk,
            },
        },
        "components": [rust, *(components[ref] for ref in sorted(components))],
        "dependencies": [
            {"ref": sdk, "dependsOn": sorted(linked)},
            {"ref": rust["bom-ref"]},
            *({"ref": ref, "dependsOn": sorted(dependencies[ref])} for ref in sorted(dependencies)),
        ],
    }


def _add_workspace(
    manifest: Path,
    triple: str,
    names: tuple[str, ...],
    components: dict[str, dict[str, Any]],
    dependencies: dict[str, set[str]],
) -> None:
    """Adds the given crates of a workspace, and all crates that are linked into them."""
    command = ["cargo", "metadata", "--format-version=1", "--locked", "--filter-platform", triple]
    output = subprocess.run([*command, "--manifest-path", manifest], check=True, capture_output=True).stdout
    metadata = json.loads(output)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    lock = tomllib.loads(manifest.with_name("Cargo.lock").read_text())
    checksums = {(found["name"], found["version"]): found.get("checksum") for found in lock["package"]}
    pending = [package["id"] for package in packages.values() if package["name"] in names]
    while pending:
        package = packages[pending.pop()]
        component = _component(package, checksums[package["name"], package["version"]])
        linked = [
            dependency["pkg"]
            for dependency in nodes[package["id"]]["deps"]
            if any(kind["kind"] is None for kind in dependency["dep_kinds"])
            and not _is_procedural_macro(packages[dependency["pkg"]])
        ]
        known = dependencies.setdefault(component["bom-ref"], set())
        new = {_reference(packages[name]): name for name in linked}
        pending += [name for ref, name in new.items() if ref not in known]
        known |= new.keys()
        components[component["bom-ref"]] = component


def _is_procedural_macro(package: Mapping[str, Any]) -> bool:
    """Returns whether a crate runs in the compiler, so that nothing of it is in the wheel."""
    return any("proc-macro" in target["kind"] for target in package["targets"])


def _component(package: Mapping[str, Any], checksum: str | None) -> dict[str, Any]:
    component = {
        "type": "library",
        "bom-ref": _reference(package),
        "name": package["name"],
        "version": package["version"],
        "licenses": [{"expression": package["license"].replace(" / ", " OR ").replace("/", " OR ")}],
    }
    if checksum:
        component |= {"hashes": [{"alg": "SHA-256", "content": checksum}], "purl": _reference(package)}
    return component


def _reference(package: Mapping[str, Any]) -> str:
    """Returns the package URL of a crate. A crate of this project is not published, so it has only a reference."""
    name = f"{package['name']}@{quote(package['version'], safe='')}"
    return f"pkg:cargo/{name}" if package["source"] else f"crate:{name}"


def _rust() -> dict[str, Any]:
    """Returns Rust's standard library, which is in each linked file except the stub."""
    lines = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout.splitlines()
    version = next(line.removeprefix("release: ") for line in lines if line.startswith("release: "))
    purl = f"pkg:generic/rust@{version}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": "rust",
        "version": version,
        "description": "Rust's standard library",
        "licenses": [{"expression": "MIT OR Apache-2.0"}],
        "purl": purl,
    }


def _timestamp() -> dict[str, str]:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return {"timestamp": f"{datetime.fromtimestamp(int(epoch), UTC):%Y-%m-%dT%H:%M:%SZ}"} if epoch else {}
