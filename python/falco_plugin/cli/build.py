"""``falco-plugin build``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import click

from falco_plugin._build import target as targets
from falco_plugin._declare import plugin_ids
from falco_plugin.cli._output import fail, warn
from falco_plugin.cli._targets import debug_option, reported_errors


@click.command()
@click.argument("target")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The library to write, or its folder. By default lib<name>.so in the current directory.",
)
@click.option(
    "--python",
    metavar="PATH",
    help="Build for the environment of this Python, which must have falco-plugin-sdk installed.",
)
@debug_option
def build(target: str, output: Path | None, python: str | None, debug: bool) -> None:
    """Build a plugin into one library for Falco.

    TARGET is path.py[:Name] or a folder. The output shows the entries for falco.yaml.
    """
    if python is not None:
        _build_with(python, target, output, debug)
    if targets.is_library(target) and Path(target).exists():
        fail(f"{target} is not Python code: build takes path.py[:Name] or a folder")
    with reported_errors(debug):
        built = targets.load(target)
        path = output if output is not None else Path()
        if path.is_dir():
            path = built.write_into(path)
        else:
            built.write(path)
    _print_usage(built, path)
    _warn_of_ids(built, path)


def _print_usage(built: targets.Target, path: Path) -> None:
    """Prints what was built, and what falco.yaml and rules need for it."""
    plugin, capabilities = built.plugin, built.capabilities
    extracts = capabilities.extract_event_sources
    sources = [plugin.event_source] if capabilities.is_source else []
    sources += [name for name in extracts if name not in sources]
    abilities = [f"event source {plugin.event_source}"] if capabilities.is_source else []
    if count := len(capabilities.fields):
        scope = f" for {', '.join(sources)}" if extracts else "" if sources else " for every source"
        abilities.append(f"{count} {'field' if count == 1 else 'fields'}{scope}")
    click.echo(f"{path}: plugin {plugin.name} {plugin.version}, {', '.join(abilities)}\n")
    click.echo("In falco.yaml:\n")
    click.echo(f"plugins:\n  - name: {plugin.name}\n    library_path: {path.resolve()}")
    required = json.loads(built.schema).get("required") if built.schema else None
    click.echo("    init_config:" if required else '    init_config: ""')
    for key in required or ():
        click.echo(f'      {key}: ""  # required')
    if capabilities.is_source:
        click.echo('    open_params: ""')
        click.echo(f"load_plugins: [{plugin.name}]\n")
    else:
        click.echo(f"load_plugins: [SOURCE, {plugin.name}]  # SOURCE: the plugin that makes the events\n")
    if sources:
        click.echo(f"Rules on its {'events' if capabilities.is_source else 'fields'} need:\n")
    else:
        click.echo("Rules on its fields need the source of the events, such as:\n")
    listed = "\n  source: ".join(sources or ["k8s_audit"])
    click.echo(f"  source: {listed}")


def _warn_of_ids(built: targets.Target, path: Path) -> None:
    """Warns of the id for development, and of libraries in the same folder that Falco cannot load beside this one."""
    if built.capabilities.is_source and built.plugin.id == plugin_ids.DEVELOPMENT:
        warn(
            f"the id {plugin_ids.DEVELOPMENT} is for development, and Falco does not load two plugins with one id: "
            f"before the plugin is deployed, set its id to a number from {plugin_ids.PRIVATE[0]} to "
            f"{plugin_ids.PRIVATE[-1]} for private use, such as id = {plugin_ids.private_id(built.plugin.name)}, or to "
            "one that is registered with Falco"
        )
    for clash in built.clashes(path):
        warn(clash)


def _build_with(python: str, target: str, output: Path | None, debug: bool) -> NoReturn:
    """Runs this command in another Python, so that the library uses its environment and SDK."""
    executable = shutil.which(python)
    if executable is None:
        fail(f"--python {python}: no such program: give the path of an environment's Python")
    options = ["--debug"] if debug else []
    if output is not None:
        options += ["-o", str(output)]
    check = [executable, "-P", "-c", "import falco_plugin.cli.main"]
    if subprocess.run(check, capture_output=True, check=False).returncode != 0:
        fail(
            f"--python {python} has no falco-plugin-sdk: install it there "
            f"({executable} -m pip install falco-plugin-sdk)"
        )
    arguments = [executable, "-P", "-m", "falco_plugin", "build", target, *options]
    sys.stdout.flush()
    os.execv(executable, arguments)
