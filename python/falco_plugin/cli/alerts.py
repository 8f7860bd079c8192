"""``falco-plugin alerts``."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from falco_plugin.cli import _help
from falco_plugin.cli._alert_text import format_alert, has_colour, printable
from falco_plugin.cli._output import fail
from falco_plugin.cli._source_options import ConfigText
from falco_plugin.cli._targets import debug_option, reported_errors

if TYPE_CHECKING:
    from falco_plugin._falco.alert import Alert
    from falco_plugin._falco.process import Setup
    from falco_plugin._falco.scenario import Scenario

RULES = click.Path(exists=True, dir_okay=False, path_type=Path)


_EXAMPLES = """
falco-plugin alerts plugin.py --rules rules.yaml --params events.log
falco-plugin alerts plugin.py --rules rules.yaml --seconds 10 --expect alerts.yaml
"""


@click.command(cls=_help.Command, examples=_EXAMPLES)
@click.argument("target")
@click.option(
    "--rules", type=RULES, multiple=True, required=True, metavar="FILE", help="A file of rules. Can be repeated."
)
@click.option(
    "--config",
    type=ConfigText(),
    default="",
    help="The plugin's init_config, as text, or @ and the path of a YAML or JSON file that has it.",
)
@click.option("--params", default="", help="The open_params of the source, such as the path of a file.")
@click.option(
    "--scap",
    metavar="FILE",
    help="Read the events of this capture file, such as system calls, instead of the plugin's own source.",
)
@click.option(
    "--with",
    "others",
    multiple=True,
    metavar="TARGET",
    help="Also load this plugin. If TARGET makes no events, the first of these that does is the source.",
)
@click.option(
    "--with-config",
    "other_configs",
    type=ConfigText(),
    multiple=True,
    help="The init_config of a plugin of --with: the first is for the first --with, and so on.",
)
@click.option(
    "--rule-matching",
    type=click.Choice(["first", "all"]),
    default="first",
    show_default=True,
    help="Whether only the first rule that matches an event fires, as in Falco by default, or all of them.",
)
@click.option(
    "--falco",
    metavar="PATH|IMAGE",
    help="The Falco to run: an executable, or a container image. By default the variable FALCO names it, then it is "
    "falco on PATH, then the official image if there is docker or podman.",
)
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Stop after this many seconds.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Stop after this many alerts.")
@click.option(
    "--expect",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Compare the alerts with this YAML or JSON file. A difference is shown as a diff, with exit status 1.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line: kind alert, log or end.")
@debug_option
def alerts(
    target: str,
    rules: tuple[Path, ...],
    config: str,
    params: str,
    scap: str | None,
    others: tuple[str, ...],
    other_configs: tuple[str, ...],
    falco: str | None,
    debug: bool,
    **options: Any,
) -> None:
    """Run a real Falco on a plugin and rules, and show the alerts.

    Each alert has its time, priority, rule, output and fields. At the end follow the alerts by rule, the rules that
    never fired, and the fields that never had a value. Falco's messages go to stderr. TARGET is path.py[:Name], a
    folder, or a plugin library.

    --rules, --with and --with-config can be repeated.
    """
    if len(other_configs) > len(others):
        raise click.UsageError("more --with-config than --with: each --with-config belongs to one --with")
    if scap is not None and params:
        raise click.UsageError("--scap replaces a source: leave out --params")
    # Only here, because the list of commands needs none of it.
    from falco_plugin._build import temporary
    from falco_plugin._falco import expected, find, scenario
    from falco_plugin._falco.errors import FalcoError

    with temporary.folder() as folder:
        try:
            wanted = expected.read(options["expect"]) if options["expect"] else None
            found = find.find(falco)
            with reported_errors(debug):
                built = scenario.prepare(found, folder, [target, *others], has_capture=scap is not None)
            matching = {"rule_matching": options["rule_matching"]}
            setup = built.setup(rules, configs=[config, *other_configs], params=params, scap=scap, **matching)
            run = _Run(built, setup, wanted, options["seconds"], options["limit"], options["as_json"])
            status = run.run()
        except FalcoError as error:
            fail(error.message, f"\n{printable_lines(error.details)}" if error.details else "")
    sys.exit(status)


def printable_lines(text: str) -> str:
    """Returns several lines with their control characters replaced."""
    return "\n".join(map(printable, text.expandtabs().splitlines()))


@dataclass
class _Run:
    """A run of Falco for the command."""

    scenario: Scenario
    setup: Setup
    expected: Sequence[Any] | None
    seconds: float | None
    limit: int | None
    as_json: bool
    _printing: Any = field(default_factory=threading.Lock, init=False)

    def run(self) -> int:
        """Runs Falco, prints its alerts and the totals, and returns the exit status."""
        from falco_plugin._build.interruption import Interruption
        from falco_plugin._falco import rules
        from falco_plugin._falco.process import FalcoProcess, describe_end
        from falco_plugin._falco.totals import Totals

        counts: Counter[str] = Counter()
        received: list[Alert] = []
        result = "end"
        with Interruption() as interruption:
            try:
                rule_set = rules.load(self.setup, interruption)
            except BaseException:
                if interruption.is_interrupted:
                    return interruption.status(-interruption.first_signal)
                raise
            if interruption.is_interrupted:
                return interruption.status(-interruption.first_signal)
            started = time.monotonic()
            time_is_up = threading.Event()
            with FalcoProcess(self.setup, self._show_log, interruption) as process:
                if self.seconds is not None:
                    process.stop_after(self.seconds, time_is_up.set)
                for alert in process.alerts():
                    if self.limit is not None and counts.total() >= self.limit:
                        continue
                    counts[alert.rule] += 1
                    if self.expected is not None:
                        received.append(alert)
                    self._show(alert)
                    if self.limit is not None and counts.total() == self.limit:
                        result = "limit"
                        process.stop()
                status = process.wait()
            failure = describe_end(status, process)
            if interruption.is_interrupted:
                result = "interrupted"
                if (forced := interruption.status(status)) >= 128:
                    return forced
            elif time_is_up.is_set() and result == "end":
                result = "seconds"
            if failure is not None:
                result = "failure"
            plugins = [plugin.name for plugin in self.scenario.plugins if plugin.fields]
            seconds = time.monotonic() - started
            self._show_totals(Totals(result, seconds, rule_set, counts, process.log.counts, plugins))
        if failure is not None:
            click.echo(f"falco-plugin: {failure}", err=True)
            return 1
        return self._compare(received)

    def _show(self, alert: Alert) -> None:
        if self.as_json:
            members = {"kind": "alert", "time": alert.entry["time"], "priority": alert.priority, "rule": alert.rule}
            members |= {"source": alert.source, "output": alert.output, "fields": alert.fields, "tags": alert.tags}
            self._write(json.dumps(members, ensure_ascii=False))
        else:
            self._write(format_alert(alert, has_colour()))

    def _show_log(self, line: str) -> None:
        if self.as_json:
            self._write(json.dumps({"kind": "log", "text": line}, ensure_ascii=False))
        else:
            click.echo(printable(line.expandtabs()), err=True)

    def _show_totals(self, totals: Any) -> None:
        if self.as_json:
            self._write(json.dumps(totals.to_json(), ensure_ascii=False))
        else:
            self._write("\n".join(["", *map(_printable_total, totals.lines())]))

    def _write(self, text: str) -> None:
        with self._printing:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()

    def _compare(self, received: Sequence[Alert]) -> int:
        """Prints the difference to the expected alerts, and returns the exit status."""
        if self.expected is None:
            return 0
        from falco_plugin._falco import expected

        lines = expected.differences(self.expected, received)
        if not lines:
            click.echo("The alerts are those that were expected.", err=True)
            return 0
        click.echo("falco-plugin: the alerts differ (- expected, + actual):", err=True)
        for line in lines:
            click.echo(f"  {printable(line)}", err=True)
        return 1


def _printable_total(line: str) -> str:
    """Keeps the empty line before a section."""
    return "\n".join(map(printable, line.split("\n")))
