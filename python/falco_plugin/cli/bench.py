"""``falco-plugin bench``."""

from __future__ import annotations

from typing import Any

import click

from falco_plugin.cli import _help
from falco_plugin.cli._help import option
from falco_plugin.cli._source_options import OUTPUT, SOURCE, SourceOptions, source_options
from falco_plugin.cli._targets import debug_option

_EXAMPLES = """
falco-plugin bench plugin.py --params events.log --all-fields
falco-plugin bench plugin.py --fields shop.order --limit 10000 --json
"""


@click.command(cls=_help.Command, examples=_EXAMPLES)
@source_options(
    fields="""Extract these fields, written as in rules: a.b,c.d[argument],e.f["an, argument"]. After the source has
    run, they are extracted repeatedly from copies of its first events. Can be repeated."""
)
@option(
    "--seconds",
    group=SOURCE,
    type=click.FloatRange(min=0, min_open=True),
    help="Stop after this many seconds. By default 2; with --limit, after 10 seconds without an event.",
)
@option("--live", group=OUTPUT, is_flag=True, help="Extract the fields from each event as it arrives instead.")
@option("--json", "as_json", group=OUTPUT, is_flag=True, help="Print one JSON object.")
@debug_option
def bench(seconds: float | None, live: bool, as_json: bool, debug: bool, **source: Any) -> None:
    """Measure what a plugin costs its host.

    The result is the time for an event, a batch and a field, and the memory. With --scap it is the time in which the
    plugin parses an event. TARGET is path.py[:Name], a folder, or a plugin library.
    """
    options = ["--json"] if as_json else []
    if seconds is not None:
        options += ["--seconds", str(seconds)]
    if live:
        options.append("--live")
    SourceOptions(**source).run_host("bench", options, debug)
