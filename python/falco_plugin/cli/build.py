"""``falco-plugin build``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from falco_plugin._build import target as targets
from falco_plugin._declare import plugin_ids
from falco_plugin._declare.events import SYSCALL
from falco_plugin._declare.words import counted
from falco_plugin._runtime import gil
from falco_plugin.cli import _help
from falco_plugin.cli._output import fail, warn
from falco_plugin.cli._targets import debug_option, reported_errors

if TYPE_CHECKING:
    from falco_plugin._build.self_contained import Bundle

_SHOWN_EVENTS = 5
"""The most names of parsed events that are shown."""
_SILENT = 3.0
"""Seconds of a build without output. Only the first build of an environment takes longer."""


_EXAMPLES = """
falco-plugin build plugin.py -o libplugin.so
falco-plugin build . --linked
"""


@click.command(cls=_help.Command, examples=_EXAMPLES)
@click.argument("target")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The library to write, or its folder. By default lib<name>.so in the current directory.",
)
@click.option(
    "--linked",
    is_flag=True,
    help="Build a library that uses the environment of this Python at run time, instead of bringing its own Python.",
)
@click.option(
    "--include",
    multiple=True,
    metavar="NAME",
    help="Also pack this module, package or distribution. Can be repeated.",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="NAME",
    help="Leave out this module, package or distribution. Can be repeated.",
)
@click.option("--debug-symbols", is_flag=True, help="Keep the symbol tables and debug information of native code.")
@click.option(
    "--python",
    metavar="PATH",
    help="Build for the environment of this Python, which must have falco-plugin-sdk installed.",
)
@debug_option
def build(
    target: str,
    output: Path | None,
    linked: bool,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    debug_symbols: bool,
    python: str | None,
    debug: bool,
) -> None:
    """Build a plugin into one library for Falco.

    The library brings Python and all that the plugin needs. TARGET is path.py[:Name] or a folder. The output shows the
    entries for falco.yaml.
    """
    if linked and (include or exclude or debug_symbols):
        raise click.UsageError("--linked packs no Python: leave out --include, --exclude and --debug-symbols")
    if python is not None:
        _build_with(python)
    if targets.is_library(target) and Path(target).exists():
        fail(f"{target} is not Python code: build takes path.py[:Name] or a folder")
    with reported_errors(debug):
        built = targets.load(target)
        path = output if output is not None else Path()
        if path.is_dir():
            path /= built.library_name
        bundle = None
        if linked:
            built.write(path)
        else:
            bundle = _write_self_contained(built, path, include, exclude, debug_symbols)
    _print_usage(built, path, bundle)
    _warn_of_ids(built, path)
    if built.needs_gil:
        warn(f"the extension module {built.needs_gil} {gil.CONSEQUENCE}")
    for warning in bundle.warnings if bundle is not None else ():
        warn(warning)


def _write_self_contained(
    built: targets.Target, path: Path, include: tuple[str, ...], exclude: tuple[str, ...], debug_symbols: bool
) -> Bundle:
    # Only here, because a linked library needs none of it.
    from falco_plugin._build.self_contained import Options

    options = Options(include, exclude, debug_symbols)
    if not sys.stderr.isatty():
        return built.write_self_contained(path, options)
    notice = threading.Timer(_SILENT, click.echo, ["Packing Python and the plugin's packages …"], {"err": True})
    notice.start()
    try:
        return built.write_self_contained(path, options)
    finally:
        notice.cancel()


def _print_usage(built: targets.Target, path: Path, bundle: Bundle | None) -> None:
    """Prints what was built, and what falco.yaml and rules need for it."""
    plugin, capabilities = built.plugin, built.capabilities
    extracts = capabilities.extract_event_sources
    sources = [plugin.event_source] if capabilities.is_source else []
    sources += [name for name in extracts if name not in sources]
    abilities = [f"event source {plugin.event_source}"] if capabilities.is_source else []
    if count := len(capabilities.fields):
        scope = f" for {', '.join(sources)}" if extracts else "" if sources else " for every source"
        abilities.append(f"{counted(count, 'field')}{scope}")
    if methods := capabilities.parse_methods:
        names = list(dict.fromkeys(name for method in methods for name in method.events))
        shown = ", ".join(names[:_SHOWN_EVENTS]) + (" …" if len(names) > _SHOWN_EVENTS else "")
        abilities.append(f"parses {shown}")
    click.echo(f"{path}: plugin {plugin.name} {plugin.version}, {', '.join(abilities)}")
    if bundle is not None:
        contents = bundle.contents
        version = contents["python"]["version"] + ("t" if contents["python"]["free_threaded"] else "")
        click.echo(
            f"Python {version}, {counted(len(contents['packages']), 'package')}, "
            f"{path.stat().st_size / 1e6:.1f} MB, needs glibc {contents['glibc']}"
        )
    click.echo("\nIn falco.yaml:\n")
    click.echo(f"plugins:\n  - name: {plugin.name}\n    library_path: {path.resolve()}")
    required = json.loads(built.schema).get("required") if built.schema else None
    click.echo("    init_config:" if required else '    init_config: ""')
    for key in required or ():
        click.echo(f'      {key}: ""  # required')
    if capabilities.is_source:
        click.echo('    open_params: ""')
    if capabilities.is_source or sources == [SYSCALL]:
        click.echo(f"load_plugins: [{plugin.name}]\n")
    else:
        click.echo(f"load_plugins: [SOURCE, {plugin.name}]  # SOURCE: the plugin that makes the events\n")
    if sources:
        click.echo(f"Rules on its {'events' if capabilities.is_source else 'fields'} need:\n")
    else:
        click.echo("Rules on its fields need the source of the events, such as:\n")
    for source in sources or ["k8s_audit"]:
        click.echo(f"  source: {source}" + ("  # the default" if source == SYSCALL else ""))


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


def _build_with(python: str) -> NoReturn:
    """Runs this command in another Python, so that the library has its version, its environment and its SDK."""
    executable = shutil.which(python)
    if executable is None:
        fail(f"--python {python}: no such program: give the path of an environment's Python")
    check = [executable, "-P", "-c", "import falco_plugin.cli.main"]
    if subprocess.run(check, capture_output=True, check=False).returncode != 0:
        fail(
            f"--python {python} has no falco-plugin-sdk: install it there "
            f"({executable} -m pip install falco-plugin-sdk)"
        )
    context = click.get_current_context()
    arguments = [executable, "-P", "-m", "falco_plugin", "build", *_words(context)]
    sys.stdout.flush()
    os.execv(executable, arguments)


def _words(context: click.Context) -> list[str]:
    """Returns the words of a command line with the same values, without ``--python``."""
    words = []
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if isinstance(parameter, click.Argument):
            words.append(str(value))
        elif parameter.name != "python" and value:
            for item in value if isinstance(value, tuple) else (value,):
                words += [parameter.opts[-1]] if item is True else [parameter.opts[-1], str(item)]
    return words
