"""Writes what is in a self-contained library as a bill of materials in the format CycloneDX 1.6."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from falco_plugin._build.errors import TargetError


def bill_of_materials(manifest: Mapping[str, str], contents: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the bill of materials of a library. The same library always has the same one.

    Args:
        manifest: the manifest of the library.
        contents: its contents, as `falco_plugin._build.bundle.contents.describe` returns them.

    Raises:
        TargetError: ``SOURCE_DATE_EPOCH`` is not a number.
    """
    plugin = {
        "type": "library",
        "bom-ref": f"plugin:{manifest['name']}",
        "name": manifest["name"],
        "version": manifest["version"],
    }
    if manifest["description"]:
        plugin["description"] = manifest["description"]
    python = _python(contents["python"])
    packages = [_package(package) for package in contents["packages"]]
    libraries = [_library(library) for library in contents["libraries"]]
    refs = {package["name"]: package["bom-ref"] for package in packages}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            **_timestamp(),
            "tools": {
                "components": [
                    {"type": "application", "name": "falco-plugin-sdk", "version": manifest["sdk_version"]},
                ]
            },
            "component": plugin,
        },
        "components": [python, *packages, *libraries],
        "dependencies": [
            {"ref": plugin["bom-ref"], "dependsOn": [python["bom-ref"], *refs.values()]},
            {"ref": python["bom-ref"], "dependsOn": [library["bom-ref"] for library in libraries]},
            *(
                {"ref": refs[package["name"]], "dependsOn": [refs[name] for name in package["requires"]]}
                for package in contents["packages"]
            ),
        ],
    }


def _timestamp() -> dict[str, str]:
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not epoch:
        return {}
    try:
        time = datetime.fromtimestamp(int(epoch), UTC)
    except (ValueError, OverflowError, OSError):
        raise TargetError(f"SOURCE_DATE_EPOCH must be a number of seconds, got {epoch!r}") from None
    return {"timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ")}


def _python(python: Mapping[str, Any]) -> dict[str, Any]:
    purl = f"pkg:generic/python@{python['version']}"
    return {
        "type": "platform",
        "bom-ref": purl,
        "name": "CPython",
        "version": python["version"],
        "description": python["build"],
        "licenses": [{"expression": python["licence"]}],
        "purl": purl,
    }


def _package(package: Mapping[str, Any]) -> dict[str, Any]:
    name = re.sub(r"[-_.]+", "-", package["name"]).lower()
    purl = f"pkg:pypi/{name}@{package['version']}"
    component = {
        "type": "library",
        "bom-ref": purl,
        "name": package["name"],
        "version": package["version"],
        "purl": purl,
    }
    if package["licence"]:
        licence = package["licence"]
        component["licenses"] = [{"expression": licence} if package["is_spdx"] else {"license": {"name": licence}}]
    return component


def _library(library: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "library",
        "bom-ref": f"library:{library['name']}",
        "name": library["name"],
        "hashes": [{"alg": "SHA-256", "content": library["sha256"]}],
    }
