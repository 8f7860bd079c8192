"""The artifacts of a plugin as falcoctl and the Falco Operator read them: the plugin, and its rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from falco_plugin._build.bundle.sbom import bill_of_materials
from falco_plugin._build.package import elf
from falco_plugin._build.package.layout import EMPTY, FALCO, INDEX, MANIFEST, TITLE, Descriptor, Layout, tar_gz
from falco_plugin._build.package.plugin_library import Metadata, PluginLibrary
from falco_plugin._build.package.rules_file import RulesFile

_SBOM = "application/vnd.cyclonedx+json"
_DESCRIPTION = "org.opencontainers.image.description"


@dataclass(frozen=True)
class Part:
    """One file of an artifact."""

    file: str
    """The name of the file that is installed."""
    platform: str | None
    """As ``linux/amd64``; ``None`` for rules."""
    digest: str
    """The digest of the manifest."""
    size: int
    """The bytes of the compressed layer."""
    sbom: str | None
    """The digest of the manifest of the bill of materials."""
    glibc: str | None = None
    """The version of glibc that a self-contained library needs."""


@dataclass(frozen=True)
class Artifact:
    """An artifact in its layout."""

    type: Literal["plugin", "rulesfile"]
    """The type as falcoctl names it."""
    name: str
    version: str
    digest: str
    """The digest by which the artifact is signed and pulled."""
    parts: list[Part]
    layout: Layout


def plugin(libraries: Sequence[PluginLibrary], annotations: Mapping[str, str]) -> Artifact:
    """Makes the artifact of a plugin.

    Args:
        libraries: the libraries of one plugin, each for another architecture.
        annotations: additional annotations.

    Raises:
        TargetError: ``SOURCE_DATE_EPOCH`` is not a number.
    """
    about = libraries[0].metadata
    described = {**_describe(about), **annotations}
    layout = Layout()
    config = layout.add_json(
        {
            "name": about.name,
            "version": about.version,
            "requirements": [{"name": "plugin_api_version", "version": about.required_api_version}],
        },
        f"{FALCO}plugin.config.v1+json",
    )
    manifests: list[Descriptor] = []
    boms: list[Descriptor] = []
    parts: list[Part] = []
    for library in sorted(libraries, key=lambda library: library.architecture):
        file = f"lib{about.name}.so"
        layer = _layer(layout, "plugin", f"{_stem(library)}.tar.gz", file, library.data)
        manifest = _manifest(layout, config, layer, described)
        bom = _bill_of_materials(layout, library, manifest)
        platform = {"architecture": library.architecture, "os": "linux"}
        manifests.append({**manifest, "platform": platform})
        boms += bom
        digest = bom[0]["digest"] if bom else None
        glibc = library.contents["glibc"] if library.contents is not None else None
        parts.append(Part(file, f"linux/{library.architecture}", manifest["digest"], layer["size"], digest, glibc))
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*manifests, *boms], "annotations": described}
    root = layout.add_json(index, INDEX)
    layout.set_root(root, about.version)
    return Artifact("plugin", about.name, about.version, root["digest"], parts, layout)


def rules(file: RulesFile, about: Metadata, annotations: Mapping[str, str]) -> Artifact:
    """Makes the artifact of a plugin's rules. It has the version of the plugin."""
    name = f"{about.name}-rules"
    installed = f"{about.name}_rules.yaml"
    own = {TITLE: name, _DESCRIPTION: f"Rules for the plugin {about.name}"}
    described = {**_describe(about), **own, **annotations}
    requirements = [{"name": "engine_version_semver", "version": file.engine_version}] if file.engine_version else []
    layout = Layout()
    config = layout.add_json(
        {
            "name": name,
            "version": about.version,
            "dependencies": file.dependencies,
            **({"requirements": requirements} if requirements else {}),
        },
        f"{FALCO}rulesfile.config.v1+json",
    )
    layer = _layer(layout, "rulesfile", f"{name}-{about.version}.tar.gz", installed, file.data)
    manifest = _manifest(layout, config, layer, described)
    layout.set_root(manifest, about.version)
    part = Part(installed, None, manifest["digest"], layer["size"], None)
    return Artifact("rulesfile", name, about.version, manifest["digest"], [part], layout)


def _describe(about: Metadata) -> dict[str, str]:
    """Returns the metadata of a plugin as annotations of OCI, without empty ones."""
    found = {
        TITLE: about.name,
        "org.opencontainers.image.version": about.version,
        _DESCRIPTION: about.description,
        "org.opencontainers.image.authors": about.contact,
    }
    return {key: value for key, value in found.items() if value}


def _layer(layout: Layout, kind: str, title: str, file: str, data: bytes) -> Descriptor:
    # Clients write the layer to a file with its title, before they unpack it.
    return layout.add(tar_gz(file, data), f"{FALCO}{kind}.layer.v1+tar.gz", annotations={TITLE: title})


def _manifest(layout: Layout, config: Descriptor, layer: Descriptor, annotations: Mapping[str, str]) -> Descriptor:
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": [layer],
        "annotations": dict(annotations),
    }
    return layout.add_json(manifest, MANIFEST, artifactType=config["mediaType"])


def _bill_of_materials(layout: Layout, library: PluginLibrary, subject: Descriptor) -> list[Descriptor]:
    """Adds the bill of materials of a self-contained library, as an artifact that refers to the library's manifest.

    Its platform is unknown, as that of all attestations in an index: clients then never choose it as the plugin.
    """
    if library.manifest is None or library.contents is None:
        return []
    bom = bill_of_materials(library.manifest, library.contents)
    layer = layout.add_json(bom, _SBOM, annotations={TITLE: f"{_stem(library)}.cdx.json"})
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": _SBOM,
        "config": layout.add(b"{}", EMPTY),
        "layers": [layer],
        "subject": subject,
    }
    platform = {"architecture": "unknown", "os": "unknown"}
    return [layout.add_json(manifest, MANIFEST, artifactType=_SBOM, platform=platform)]


def _stem(library: PluginLibrary) -> str:
    about = library.metadata
    return f"{about.name}-{about.version}-linux-{elf.machine_of(library.architecture)}"
