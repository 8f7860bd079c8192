"""``falco-plugin run``."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from falco_plugin.cli import _help
from falco_plugin.cli._help import option
from falco_plugin.cli._output import fail
from falco_plugin.cli._source_options import (
    OUTPUT,
    PLUGINS,
    SOURCE,
    ConfigText,
    FileText,
    SourceOptions,
    source_options,
)
from falco_plugin.cli._targets import debug_option

_FILE = click.Path(exists=True, dir_okay=False)
_EXAMPLES = """
falco-plugin run plugin.py --params events.log --all-fields --pretty
falco-plugin run plugin.py --config @config.yaml --seconds 10 --record events.jsonl
falco-plugin run plugin.py --replay events.jsonl --fields 'shop.order,shop.items[0]'
falco-plugin run plugin.py --events audit.log --all-fields --pretty --watch
falco-plugin run --from falco.yaml plugin.py
"""


@click.command(cls=_help.Command, examples=_EXAMPLES)
@option(
    "--events",
    group=SOURCE,
    metavar="FILE",
    help="Read the events from this plain file, one a line, instead of the plugin's own source. - is standard input.",
)
@option(
    "--replay",
    group=SOURCE,
    metavar="FILE",
    help="Read the events and their times from this file, which --record or --json has written.",
)
@option("--seconds", group=SOURCE, type=click.FloatRange(min=0, min_open=True), help="Stop after this many seconds.")
@source_options(
    fields="""Extract these fields from each event, written as in rules: a.b,c.d[argument],e.f["an, argument"]. Each
    follows the event's text after a tab, as name=value. Values are printed as Falco prints them, and <NA> if absent.
    Can be repeated.""",
    target_is_required=False,
)
@option(
    "--from",
    "configuration",
    group=PLUGINS,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Load the plugins of this falco.yaml with their init_config and open_params. TARGET names the plugin to run, "
    "or is the code of the plugin with its name.",
)
@option("--set-config", group=PLUGINS, type=ConfigText(), help="Change the plugin's configuration to this after init.")
@option(
    "--table-contents",
    group=PLUGINS,
    type=_FILE,
    metavar="FILE",
    help="Fill the table threads from this JSON file, as the table of a host that sees system calls.",
)
@option(
    "--watch",
    group=PLUGINS,
    is_flag=True,
    help="Build and run the plugins again when one of their files changes, until Ctrl-C. After an error in the code, "
    "the previous version runs on.",
)
@option(
    "--pretty",
    group=OUTPUT,
    is_flag=True,
    help="Print each field on a line below its event, with readable values; on a terminal with colours, unless "
    "NO_COLOR is set.",
)
@option(
    "--json",
    "as_json",
    group=OUTPUT,
    is_flag=True,
    help="Print one JSON object a line: kind fields, event, async_event, state_event, log, table, metrics or end.",
)
@option("--record", group=OUTPUT, metavar="FILE", help="Also write the events with their times to this file.")
@option(
    "--tables",
    group=OUTPUT,
    multiple=True,
    metavar="LIST",
    help="Print the entries of these state tables at the end: threads,a_table. Can be repeated.",
)
@option(
    "--metrics", group=OUTPUT, is_flag=True, help="Print the metrics of all plugins at the end, as Falco names them."
)
@option("--dump-state", group=OUTPUT, is_flag=True, help="Print the async events of dump_state at the end.")
@debug_option
def run(
    target: str | None,
    events: str | None,
    replay: str | None,
    configuration: Path | None,
    watch: bool,
    debug: bool,
    pretty: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Run a plugin without Falco, and show its events.

    TARGET is path.py[:Name], a folder, or a plugin library. The native host loads it and calls it as Falco does.
    """
    if target is None and configuration is None:
        raise click.UsageError("Missing argument 'TARGET'.")
    if pretty and as_json:
        raise click.UsageError("--pretty is for text: leave out --json, or --pretty")
    replacements = [(name, file) for name, file in (("--events", events), ("--replay", replay)) if file is not None]
    given = [name for name, _ in replacements] + (["--scap"] if options["scap"] is not None else [])
    if len(given) > 1:
        raise click.UsageError(f"{given[0]} and {given[1]}: give one of them")
    names = {field.name for field in dataclasses.fields(SourceOptions)}
    asked = SourceOptions(
        target=target or "",
        replacement=next(iter(replacements), ()),
        **{name: value for name, value in options.items() if name in names},
    )
    asked.check()

    def resolved() -> SourceOptions:
        source = dataclasses.replace(
            asked, config=_read_again(asked.config), other_configs=tuple(map(_read_again, asked.other_configs))
        )
        if configuration is None:
            return source
        from falco_plugin.cli._falco_configuration import with_configuration

        return with_configuration(source, target, configuration, debug=debug)

    source = resolved()
    flags = {"--pretty": pretty, "--json": as_json}
    if not watch:
        source.run_host("run", _host_options(flags, options), debug)
    files = [events, replay, options["scap"], options["table_contents"], configuration]
    configs = (asked.config, options["set_config"], *asked.other_configs)
    files += [config.path for config in configs if isinstance(config, FileText)]
    watched = [Path(file) for file in files if file not in (None, "-")]

    def arguments(libraries: Sequence[Path]) -> Sequence[str | Path]:
        changed = resolved()
        if changed.targets != source.targets:
            fail(f"{configuration} loads other plugins than before: start falco-plugin run again")
        if isinstance(options["set_config"], FileText):
            options["set_config"] = _read_again(options["set_config"])
        return changed.arguments("run", libraries, _host_options(flags, options))

    # Only here, because it is rarely used.
    from falco_plugin.cli._watch import Watch

    sys.exit(Watch(source.targets, lambda: watched, arguments).run())


def _read_again(text: str) -> str:
    """Returns a configuration as its file has it now, if it came from a file."""
    if not isinstance(text, FileText):
        return text
    try:
        return ConfigText().convert(f"@{text.path}", None, None)
    except click.UsageError as error:
        fail(error.format_message())


def _host_options(flags: dict[str, bool], options: dict[str, Any]) -> list[str]:
    """Returns the options of the host that only `run` has."""
    flags = {**flags, "--metrics": options["metrics"], "--dump-state": options["dump_state"]}
    arguments = [flag for flag, is_set in flags.items() if is_set]
    for name in ("set_config", "table_contents", "record", "seconds"):
        if options[name] is not None:
            arguments += [f"--{name.replace('_', '-')}", str(options[name])]
    return arguments + [argument for names in options["tables"] for argument in ("--tables", names)]
