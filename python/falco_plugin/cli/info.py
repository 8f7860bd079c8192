"""``falco-plugin info``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from falco_plugin._build import host, library
from falco_plugin._build import target as targets
from falco_plugin._build.errors import TargetError
from falco_plugin.cli import _help
from falco_plugin.cli._output import exit_as_host
from falco_plugin.cli._targets import debug_option, library_of, reported_errors

_EXAMPLES = """
falco-plugin info plugin.py
falco-plugin info libplugin.so --json
"""


@click.command(cls=_help.Command, examples=_EXAMPLES)
@click.argument("target")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--sbom", is_flag=True, help="Print what a self-contained library brings, as CycloneDX JSON.")
@debug_option
def info(target: str, as_json: bool, sbom: bool, debug: bool) -> None:
    """Show the metadata of a plugin.

    These are the name, version, event sources, fields and configuration that Falco reads from the library, and what
    the library brings. Python is not started. TARGET is path.py[:Name], a folder, or a plugin library.
    """
    if sbom:
        with reported_errors(debug):
            _print_bill_of_materials(target)
        return
    with library_of(target, debug) as path:
        exit_as_host(host.run(["info", path, *(["--json"] if as_json else [])]))


def _print_bill_of_materials(target: str) -> None:
    from falco_plugin._build.bundle.sbom import bill_of_materials

    remedy = "build a self-contained library with falco-plugin build, and give its path"
    if not targets.is_library(target):
        raise TargetError(f"{target} is not a library, so it brings nothing yet: {remedy}")
    try:
        manifest = library.read_manifest(Path(target))
    except OSError as error:
        raise TargetError(f"cannot read {target}: {error.strerror}") from None
    if manifest is None:
        raise TargetError(f"{target} is not a plugin library of this SDK, or is damaged: {remedy}")
    if "contents" not in manifest:
        raise TargetError(f"{target} is a linked library, which brings no packages: {remedy}")
    found = bill_of_materials(manifest, json.loads(manifest["contents"]))
    click.echo(json.dumps(found, ensure_ascii=False, indent=2))
