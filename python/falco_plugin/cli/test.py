"""``falco-plugin test``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from falco_plugin.cli import _help
from falco_plugin.cli._alert_text import has_colour, printable
from falco_plugin.cli._output import fail
from falco_plugin.cli._targets import debug_option, reported_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from falco_plugin._falco.find import Falco
    from falco_plugin._falco.rule_runner import Result
    from falco_plugin._falco.rule_tests import TestFile


_EXAMPLES = """
falco-plugin test
falco-plugin test plugin.py my_rules.test.yaml --falco /usr/bin/falco
"""


@click.command(cls=_help.Command, examples=_EXAMPLES)
@click.argument("targets", nargs=-1, metavar="[TARGET] [FILE]...")
@click.option("--falco", metavar="PATH|IMAGE", help="The Falco to run, as for falco-plugin alerts.")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Also write the results as JUnit XML.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="Seconds that each test may take.",
)
@debug_option
def test(targets: tuple[str, ...], falco: str | None, junit: Path | None, timeout: float, debug: bool) -> None:
    """Run the tests of a plugin's rules in a real Falco.

    A test has events, and the rules that must and must not fire on them. Each test runs in a new Falco. TARGET is
    path.py[:Name] or a folder, by default the current one. FILE is a file of tests, NAME.test.yaml, for the rules of
    NAME.yaml beside it. By default these are all files *_rules.test.yaml in the folder of TARGET.
    """
    # Only here, because the list of commands needs none of it.
    from falco_plugin._build import temporary
    from falco_plugin._falco import find, rule_tests
    from falco_plugin._falco.errors import FalcoError

    target, files = _arguments(targets, rule_tests.SUFFIX)
    try:
        paths = [Path(file) for file in files] or rule_tests.find(target)
        if not paths:
            fail(f"there is no file *_rules{rule_tests.SUFFIX} in the folder of {target}: write one, or name a file")
        read = [rule_tests.read(path) for path in paths]
        found = find.find(falco)
        with temporary.folder() as folder, reported_errors(debug):
            started = time.monotonic()
            results = _run(found, target, read, folder, timeout)
            seconds = time.monotonic() - started
    except FalcoError as error:
        details = "\n".join(map(printable, error.details.expandtabs().splitlines()))
        fail(error.message, f"\n{details}" if details else "")
    if junit is not None:
        _write_junit(junit, results)
    failed = sum(not result.passed for result in results)
    passed = len(results) - failed
    click.echo(f"\n{f'{failed} failed, ' if failed else ''}{passed} passed in {seconds:.1f} s")
    sys.exit(1 if failed else 0)


def _arguments(targets: Sequence[str], suffix: str) -> tuple[str, Sequence[str]]:
    """Returns the target, and the files of tests."""
    if targets and not targets[0].endswith(suffix):
        return targets[0], targets[1:]
    return ".", targets


def _run(found: Falco, target: str, files: Sequence[TestFile], folder: Path, timeout: float) -> list[Result]:
    """Runs all tests, and prints the result of each."""
    from falco_plugin._build.interruption import Interruption
    from falco_plugin._falco.rule_runner import FileRunner

    results: list[Result] = []
    colour = has_colour()
    for file in files:
        click.echo(str(file.path))
        runner = FileRunner(found, target, file, folder, timeout)
        for rule_test in file.tests:
            with Interruption() as interruption:
                result = runner.run(rule_test, interruption)
                if interruption.is_interrupted:
                    sys.exit(128 + interruption.first_signal)
            results.append(result)
            word = "PASS" if result.passed else "FAIL"
            shown = click.style(word, fg="green" if result.passed else "red") if colour else word
            click.echo(f"  {shown}  {printable(rule_test.name)}", color=colour)
            for line in result.problems:
                click.echo(f"        {printable(line)}")
    return results


def _write_junit(path: Path, results: Sequence[Result]) -> None:
    from falco_plugin._falco import junit

    try:
        junit.write(path, results)
    except OSError as error:
        fail(f"cannot write {path}: {error.strerror}")
