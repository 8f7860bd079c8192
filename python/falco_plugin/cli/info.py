"""``falco-plugin info``."""

from __future__ import annotations

import click

from falco_plugin._build import host
from falco_plugin.cli._output import exit_as_host
from falco_plugin.cli._targets import debug_option, library_of


@click.command()
@click.argument("target")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@debug_option
def info(target: str, as_json: bool, debug: bool) -> None:
    """Show the metadata of a plugin.

    These are the name, version, event sources, fields and configuration that Falco reads from the library. Python is
    not started. TARGET is path.py[:Name], a folder, or a plugin library.
    """
    with library_of(target, debug) as library:
        exit_as_host(host.run(["info", library, *(["--json"] if as_json else [])]))
