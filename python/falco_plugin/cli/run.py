"""``falco-plugin run``."""

from __future__ import annotations

from typing import Any

import click

from falco_plugin.cli._source_options import SourceOptions, source_options
from falco_plugin.cli._targets import debug_option


@click.command()
@source_options(
    fields="""Extract these fields from each event, written as in rules: a.b,c.d[argument],e.f["an, argument"]. Each
    follows the event's text after a tab, as name=value. Values are printed as Falco prints them, and <NA> if absent."""
)
@click.option(
    "--tables",
    multiple=True,
    metavar="LIST",
    help="Print the entries of these state tables at the end: threads,a_table.",
)
@click.option(
    "--table-contents",
    type=click.Path(exists=True, dir_okay=False),
    help="Fill the table threads from this JSON file, as the table of a host that sees system calls.",
)
@click.option("--pretty", is_flag=True, help="Print times, durations, networks and lists in a readable form.")
@click.option("--set-config", metavar="TEXT", help="Change the plugin's configuration to this after init.")
@click.option("--metrics", is_flag=True, help="Print the metrics of all plugins at the end, as Falco names them.")
@click.option("--dump-state", is_flag=True, help="At the end, print the async events of dump_state.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON object a line: kind fields, event, async_event, state_event, log, table, metrics or end.",
)
@debug_option
def run(
    tables: tuple[str, ...],
    table_contents: str | None,
    pretty: bool,
    set_config: str | None,
    metrics: bool,
    dump_state: bool,
    as_json: bool,
    debug: bool,
    **source: Any,
) -> None:
    """Run a plugin without Falco, and show its events.

    TARGET is path.py[:Name], a folder, or a plugin library. The native host loads it and calls it as Falco does.

    --fields, --with, --with-config and --tables can be repeated.
    """
    if pretty and as_json:
        raise click.UsageError("--pretty is for text: leave out --json, or --pretty")
    flags = {"--pretty": pretty, "--metrics": metrics, "--dump-state": dump_state, "--json": as_json}
    options = [flag for flag, is_set in flags.items() if is_set]
    if set_config is not None:
        options += ["--set-config", set_config]
    options += [option for names in tables for option in ("--tables", names)]
    if table_contents is not None:
        options += ["--table-contents", table_contents]
    SourceOptions(**source).run_host("run", options, debug)
