"""``falco-plugin package``."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from falco_plugin._build.errors import TargetError
from falco_plugin.cli import _help
from falco_plugin.cli._output import warn
from falco_plugin.cli._targets import reported_errors

if TYPE_CHECKING:
    from falco_plugin._build.package.artifacts import Artifact

_REGISTRY, _OWNER = "REGISTRY", "OWNER"
"""The registry, and the beginning of the repository's name, in the commands that the output suggests."""


_EXAMPLES = """
falco-plugin package libplugin.so -o oci --rules rules.yaml
"""


@click.command(cls=_help.Command, examples=_EXAMPLES)
@click.argument("libraries", metavar="LIB...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FOLDER",
    help="The folder of the plugin's layout. It must be empty, or a layout that this command wrote.",
)
@click.option("--rules", metavar="FILE", help="Also package these rules. Their layout is in FOLDER-rules.")
@click.option(
    "--allow",
    multiple=True,
    type=click.Choice(["linked", "development-id", "name"]),
    help="Accept a linked library, an id or event source for development, or a name that is not possible for "
    "repositories. Can be repeated.",
)
@click.option(
    "--annotation",
    "annotations",
    multiple=True,
    metavar="KEY=VALUE",
    help="Add an annotation, such as org.opencontainers.image.source=URL. Can be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def package(
    libraries: tuple[str, ...],
    output: str,
    rules: str | None,
    allow: tuple[str, ...],
    annotations: tuple[str, ...],
    as_json: bool,
) -> None:
    """Package a plugin for falcoctl, the Falco Operator and OCI registries.

    LIB is a plugin library of any SDK: one for each architecture, built from the same plugin. The result is an OCI
    image layout, which any OCI client can push. The output shows the commands.
    """
    # Only here, because other commands need none of it.
    from falco_plugin._build.package import layout
    from falco_plugin._build.package.package import make

    folder = Path(output)
    with reported_errors(debug=False):
        pairs = dict(map(_annotation, annotations))
        layout.check_folder(folder)
        named = folder if folder.name not in {"", ".."} else folder.resolve()
        rules_folder = named.with_name(f"{named.name}-rules")
        if rules is not None:
            layout.check_folder(rules_folder)
        made = make(libraries, rules, allow, pairs)
        written = [(folder, made.plugin)]
        if made.rules is not None:
            written.append((rules_folder, made.rules))
        for path, artifact in written:
            _write(path, artifact)
    for warning in made.warnings:
        warn(warning)
    if as_json:
        click.echo(json.dumps({"artifacts": [_describe(*pair) for pair in written]}, ensure_ascii=False))
        return
    for path, artifact in written:
        _print_artifact(path, artifact)
    _print_usage(written)


def _annotation(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise TargetError(f"--annotation {text}: write KEY=VALUE, such as org.opencontainers.image.source=URL")
    return key, value


def _write(folder: Path, artifact: Artifact) -> None:
    try:
        artifact.layout.write(folder)
    except OSError as error:
        raise TargetError(f"cannot write {folder}: {error.strerror}") from error


def _describe(folder: Path, artifact: Artifact) -> dict[str, Any]:
    """Returns an artifact as JSON."""
    return {
        "type": artifact.type,
        "name": artifact.name,
        "version": artifact.version,
        "folder": str(folder),
        "digest": artifact.digest,
        "files": [vars(part) for part in artifact.parts],
    }


def _print_artifact(folder: Path, artifact: Artifact) -> None:
    click.echo(f"{folder}: {artifact.type} {artifact.name} {artifact.version}, {artifact.digest}")
    for part in artifact.parts:
        platform = f"{part.platform}, " if part.platform is not None else ""
        glibc = f", needs glibc {part.glibc}" if part.glibc is not None else ""
        bom = ", with its bill of materials" if part.sbom is not None else ""
        click.echo(f"  {part.file}: {platform}{_size(part.size)}{glibc}{bom}")


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count:,} bytes"


def _print_usage(written: list[tuple[Path, Artifact]]) -> None:
    """Prints the commands that push and install the artifacts."""
    references = [f"{_REGISTRY}/{_OWNER}/{artifact.name}:{artifact.version}" for _, artifact in written]
    click.echo("\nPush, with one of these clients:\n")
    for (folder, _), reference in zip(written, references, strict=True):
        click.echo(f"  crane push {shlex.quote(str(folder))} {reference}")
    for (folder, artifact), reference in zip(written, references, strict=True):
        source = shlex.quote(f"{folder}:{artifact.version}")
        click.echo(f"  oras cp --from-oci-layout {source} {reference}")
    click.echo(f"\nInstall with falcoctl:\n\n  falcoctl artifact install {' '.join(references)}")
    click.echo("\nInstall with the Falco Operator:\n")
    for index, (_, artifact) in enumerate(written):
        click.echo("---" if index else "", nl=bool(index))
        click.echo(_resource(artifact), nl=False)


def _resource(artifact: Artifact) -> str:
    """Returns the resource that makes the Falco Operator install an artifact."""
    kind = {"plugin": "Plugin", "rulesfile": "Rulesfile"}[artifact.type]
    # Names of resources have no "_".
    resource = artifact.name.replace("_", "-").strip("-")
    lines = [
        "apiVersion: artifact.falcosecurity.dev/v1alpha1",
        f"kind: {kind}",
        f"metadata: {{name: {resource}}}",
        "spec:",
        "  ociArtifact:",
        f"    image: {{repository: {_OWNER}/{artifact.name}, tag: {artifact.version}}}",
        f"    registry: {{name: {_REGISTRY}}}",
    ]
    if artifact.type == "plugin":
        lines.append(f"  config: {{name: {artifact.name}}}")
    return "".join(f"{line}\n" for line in lines)
