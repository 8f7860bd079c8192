"""``falco-plugin``: build a plugin library, look at one, run one, measure one; make a new plugin's folder.

The command only formats; the native host loads.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, NoReturn

import click

from falco_plugin import __version__
from falco_plugin._build import host as _host
from falco_plugin._build import target as _target
from falco_plugin._build import template as _template
from falco_plugin._declare import plugin_ids as _ids
from falco_plugin._runtime.failures import trace


class _Group(click.Group):
    """The group of commands. An interrupted command has the exit status that a shell expects."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            sys.exit(128 + signal.SIGINT)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="falco-plugin")
@click.option("--debug", is_flag=True, help="Show the traceback of an error in the plugin.")
@click.pass_context
def main(context: click.Context, debug: bool) -> None:
    """Falco plugins in Python."""
    context.obj = debug


@main.command()
@click.argument("target")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The library; default lib<name>.so here.")
@click.option("--python", metavar="PATH", help="Build for this Python, which must have falco-plugin-sdk too.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error in the plugin.")
@click.pass_context
def build(context: click.Context, target: str, output: Path | None, python: str | None, debug: bool) -> None:
    """Build TARGET, path.py[:Name] or a folder, into one library that Falco loads."""
    debug = debug or context.obj
    if python is not None:
        _build_with(python, target, output, debug)
    if _target.is_library(target) and Path(target).exists():
        _fail(f"{target} is not Python code: build takes path.py[:Name] or a folder")
    with _told(debug):
        built = _target.load(target)
        path = output if output is not None else Path()
        if path.is_dir():
            path = built.write_into(path)
        else:
            built.write(path)
    _tell_built(built, path)
    if built.capabilities.is_source and built.plugin.id == _ids.DEVELOPMENT:
        _warn(
            f"the id {_ids.DEVELOPMENT} is for development, and Falco does not load two plugins with one id: "
            f"before the plugin is deployed, set its id to a number from {_ids.PRIVATE[0]} to {_ids.PRIVATE[-1]} for "
            f"private use, such as id = {_ids.private(built.plugin.name)}, or to one that is registered with Falco"
        )
    for clash in built.clashes(path):
        _warn(clash)


def _tell_built(built: _target.Target, path: Path) -> None:
    plugin, capabilities = built.plugin, built.capabilities
    extracts = capabilities.extract_event_sources
    sources = [plugin.event_source] if capabilities.is_source else []
    sources += [name for name in extracts if name not in sources]
    does = [f"event source {plugin.event_source}"] if capabilities.is_source else []
    if count := len(capabilities.fields):
        where = f" for {', '.join(sources)}" if extracts else "" if sources else " for every source"
        does.append(f"{count} {'field' if count == 1 else 'fields'}{where}")
    click.echo(f"{path}: plugin {plugin.name} {plugin.version}, {', '.join(does)}\n")
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
        click.echo(f"load_plugins: [SOURCE, {plugin.name}]  # SOURCE: the plugin that its events come from\n")
    if sources:
        need = f"Rules on its {'events' if capabilities.is_source else 'fields'} need:"
    else:
        need = "Rules on its fields say the source of the events, such as:"
    shown = "\n  source: ".join(sources or ["k8s_audit"])
    click.echo(f"{need}\n\n  source: {shown}")


def _build_with(python: str, target: str, output: Path | None, debug: bool) -> NoReturn:
    """The other Python builds: its library, its packages, its SDK."""
    found = shutil.which(python)
    if found is None:
        _fail(f"--python {python}: no such program: give the path of an environment's Python")
    options = ["--debug"] if debug else []
    if output is not None:
        options += ["-o", str(output)]
    check = [found, "-P", "-c", "import falco_plugin.cli.main"]
    if subprocess.run(check, capture_output=True, check=False).returncode != 0:
        _fail(f"--python {python} has no falco-plugin-sdk: install it there ({found} -m pip install falco-plugin-sdk)")
    arguments = [found, "-P", "-m", "falco_plugin", "build", target, *options]
    sys.stdout.flush()
    os.execv(found, arguments)


@main.command()
@click.argument("target")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error in the plugin.")
@click.pass_context
def info(context: click.Context, target: str, as_json: bool, debug: bool) -> None:
    """Show what TARGET says of itself, as Falco reads it: without starting Python."""
    with _library(target, debug or context.obj) as library:
        _exit(_host.run(["info", library, *(["--json"] if as_json else [])]))


Command = Callable[..., None]


def _options_of_a_source(*, fields: str) -> Callable[[Command], Command]:
    """What `run` and `bench` take alike, in this order; `fields` is the help of ``--fields``."""
    options = (
        click.argument("target"),
        click.option("--config", default="", help="The plugin's init_config."),
        click.option("--params", default="", help="The plugin's open_params."),
        click.option("--limit", type=click.IntRange(min=1), help="Stop after this many events."),
        click.option("--fields", multiple=True, metavar="LIST", help=fields),
        click.option("--all-fields", is_flag=True, help="Extract all fields that need no argument."),
        click.option(
            "--with",
            "others",
            multiple=True,
            metavar="TARGET",
            help="A further plugin that extracts fields from the events.",
        ),
        click.option(
            "--with-config",
            "other_configs",
            multiple=True,
            metavar="TEXT",
            help="The init_config of a further plugin: the first is for the first --with, and so on.",
        ),
    )

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@dataclass(frozen=True)
class _Source:
    """The values of those options."""

    target: str
    config: str
    params: str
    limit: int | None
    fields: tuple[str, ...]
    all_fields: bool
    others: tuple[str, ...]
    other_configs: tuple[str, ...]

    def pass_to_host(self, subcommand: str, more: Sequence[str], debug: bool) -> NoReturn:
        """Ends as the host does."""
        if len(self.other_configs) > len(self.others):
            raise click.UsageError("there are more --with-config than --with: each is for the --with of its place")
        options = ["--config", self.config, "--params", self.params, *more]
        if self.limit is not None:
            options += ["--limit", str(self.limit)]
        for names in self.fields:
            options += ["--fields", names]
        if self.all_fields:
            options.append("--all-fields")
        with ExitStack() as stack:
            targets = (self.target, *self.others)
            library, *others = (stack.enter_context(_library(target, debug)) for target in targets)
            extractors: list[str | Path] = []
            for other, target, config in zip_longest(others, self.others, self.other_configs, fillvalue=""):
                extractors += ["--with", other, "--with-target", target, "--with-config", config]
            _exit(_host.run([subcommand, library, "--target", self.target, *options, *extractors]))


@main.command()
@_options_of_a_source(
    fields="""Extract these fields from each event, written as in rules: a.b,c.d[argument],e.f["an, argument"]. They
    follow the event's text as name=value, a tab before each, with values as Falco prints them, <NA> if absent."""
)
@click.option("--pretty", is_flag=True, help="Show times, durations, networks and lists in a readable form.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line: kind fields, event, log, end.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error in the plugin.")
@click.pass_context
def run(context: click.Context, /, pretty: bool, as_json: bool, debug: bool, **source: Any) -> None:
    """Run TARGET's event source in the native host, and show its events.

    --fields, --with and --with-config may be given several times.
    """
    if pretty and as_json:
        raise click.UsageError("--pretty is for text: leave out --json, or --pretty")
    options = [*(["--pretty"] if pretty else []), *(["--json"] if as_json else [])]
    _Source(**source).pass_to_host("run", options, debug or context.obj)


@main.command()
@_options_of_a_source(
    fields="""Extract these fields, written as in rules: a.b,c.d[argument],e.f["an, argument"]. They are extracted
    again and again from the first events, once the source has run."""
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop after this time; by default after 2, or with --limit after 10 without an event.",
)
@click.option("--live", is_flag=True, help="Extract the fields from each event as it arrives instead.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error in the plugin.")
@click.pass_context
def bench(
    context: click.Context, /, seconds: float | None, live: bool, as_json: bool, debug: bool, **source: Any
) -> None:
    """Measure what TARGET costs its host: an event, a call, a field, memory.

    --fields, --with and --with-config may be given several times.
    """
    options = ["--json"] if as_json else []
    if seconds is not None:
        options += ["--seconds", str(seconds)]
    if live:
        options.append("--live")
    _Source(**source).pass_to_host("bench", options, debug or context.obj)


@main.command()
@click.argument("name")
@click.option(
    "--template",
    type=click.Choice(_template.TEMPLATES),
    default="generator",
    show_default=True,
    help="Events that a generator yields, or that a thread pushes.",
)
def new(name: str, template: str) -> None:
    """Make a folder NAME with a plugin to start from, its test, rules and falco.yaml."""
    try:
        files = _template.create(Path(name), name, template)
    except _template.TemplateError as problem:
        _fail(str(problem))
    for path in files:
        click.echo(path)
    click.echo(f"\nNext, as {name}/README.md says:\n")
    click.echo(f"  cd {name}\n  pip install '.[test]'\n  pytest\n  falco-plugin build .")


@contextmanager
def _library(target: str, debug: bool) -> Generator[Path]:
    """The library of a target: itself, or one built for the occasion."""
    if _target.is_library(target):
        yield Path(target)
        return
    with tempfile.TemporaryDirectory(prefix="falco-plugin-") as folder:
        with _told(debug):
            path = _target.load(target).write_into(Path(folder))
        yield path


@contextmanager
def _told(debug: bool) -> Generator[None]:
    """What is wrong with a target, in one line; the traceback only where it was asked for."""
    try:
        yield
    except _target.TargetError as problem:
        if debug and problem.__cause__ is not None:
            click.echo(f"falco-plugin: {problem}{trace(problem.__cause__)}", err=True)
            sys.exit(1)
        _fail(str(problem))


def _exit(status: int) -> NoReturn:
    if status < 0:
        name = signal.Signals(-status).name if -status in list(signal.Signals) else "a signal"
        _fail(f"the plugin crashed the host with {name} (signal {-status})")
    sys.exit(status)


def _warn(text: str) -> None:
    click.echo(f"falco-plugin: warning: {' '.join(text.split())}", err=True)


def _fail(text: str) -> NoReturn:
    click.echo(f"falco-plugin: {' '.join(text.split())}", err=True)
    sys.exit(1)
