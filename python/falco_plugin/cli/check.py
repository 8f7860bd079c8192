"""``falco-plugin check``."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from falco_plugin._declare.words import counted
from falco_plugin._rules.problems import Problem, RulesError, Severity
from falco_plugin._runtime.failures import format_trace
from falco_plugin.cli import _help
from falco_plugin.cli._targets import debug_option

if TYPE_CHECKING:
    from falco_plugin._rules.files import RulesFile

_GITHUB: dict[Severity, str] = {"error": "error", "warning": "warning", "note": "notice"}


_EXAMPLES = """
falco-plugin check plugin.py --rules my_rules.yaml
falco-plugin check . --rules my_rules.yaml --with libjson.so --format github
"""


@click.command(cls=_help.Command, examples=_EXAMPLES)
@click.argument("target")
@click.option(
    "--rules",
    multiple=True,
    metavar="FILE",
    help="Also check these rules, in the order in which Falco loads them. Can be repeated.",
)
@click.option(
    "--with",
    "others",
    multiple=True,
    metavar="TARGET",
    help="A plugin that the rules use, too: it makes their events, or extracts fields from them. Can be repeated.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "github", "json"]),
    default="text",
    help="text (the default), annotations of GitHub Actions, or one JSON object.",
)
@click.option("--strict", is_flag=True, help="Fail on warnings, too.")
@debug_option
def check(target: str, rules: tuple[str, ...], others: tuple[str, ...], form: str, strict: bool, debug: bool) -> None:
    """Check a plugin and its rules without Falco.

    Each problem is one line with its file and its line. Falco refuses what is an error. A warning is probably a
    mistake, and a note needs no change. The exit status is 1 if there is an error.

    TARGET is path.py[:Name], a folder, or a plugin library.
    """
    # Only here, because other commands need none of it.
    from falco_plugin._build import plugin_check
    from falco_plugin._rules import fields, files
    from falco_plugin._rules import rules as rules_check

    checked = [(name, plugin_check.check(name)) for name in (target, *others)]
    problems = list(checked[0][1].problems)
    problems += (problem for _, other in checked[1:] if other.plugin is None for problem in other.problems)
    plugins = [(name, one.plugin) for name, one in checked if one.plugin is not None]
    problems += plugin_check.check_together(plugins)
    read: list[RulesFile] = []
    for path in rules:
        try:
            read.append(files.read(path))
        except RulesError as error:
            problems.append(error.problem)
    if len(plugins) == len(checked):
        problems += rules_check.check(read, fields.Sources(plugin for _, plugin in plugins))
    elif read:
        problems.append(Problem(target, 0, "note", "the rules are not checked, because a plugin has an error"))
    _print(problems, form)
    for _, one in checked:
        if debug and one.error is not None and one.error.__cause__ is not None:
            click.echo(format_trace(one.error.__cause__), err=True)
    counts: Counter[Severity] = Counter(problem.severity for problem in problems)
    if form == "text":
        click.echo(_summary(counts, len(read)), err=True)
    sys.exit(1 if counts["error"] or (strict and counts["warning"]) else 0)


def _print(problems: list[Problem], form: str) -> None:
    if form == "json":
        counts = Counter(problem.severity for problem in problems)
        found = {"errors": counts["error"], "warnings": counts["warning"], "problems": [vars(one) for one in problems]}
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    for problem in problems:
        click.echo(_annotation(problem) if form == "github" else str(problem))


def _annotation(problem: Problem) -> str:
    """Returns a problem as a workflow command of GitHub Actions."""
    line = f",line={problem.line}" if problem.line else ""
    path = _escaped(problem.path).replace(":", "%3A").replace(",", "%2C")
    return f"::{_GITHUB[problem.severity]} file={path}{line}::{_escaped(problem.message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _summary(counts: Counter[Severity], files: int) -> str:
    checked = f"the plugin and {counted(files, 'rules file')}" if files else "the plugin"
    found: Iterable[str] = (counted(counts[name], name) for name in ("error", "warning"))
    return f"falco-plugin: checked {checked}: {', '.join(found)}"
