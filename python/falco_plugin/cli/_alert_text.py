"""Alerts as text for a terminal."""

from __future__ import annotations

import os
import re
import sys

import click

from falco_plugin._falco.alert import Alert, field_text

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_COLOURS = {
    "emergency": "bright_red",
    "alert": "bright_red",
    "critical": "bright_red",
    "error": "red",
    "warning": "yellow",
    "notice": "cyan",
}


def printable(text: str) -> str:
    """Replaces control characters, because the events of an attacker must not control the terminal."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def has_colour() -> bool:
    """Returns whether stdout shows colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def format_alert(alert: Alert, colour: bool) -> str:
    """Returns the lines of an alert: time, priority and rule, then its output, then its fields."""
    priority, rule = f"{alert.priority:<9}", printable(alert.rule)
    if colour:
        priority = click.style(priority, fg=_COLOURS.get(alert.priority.lower()))
        rule = click.style(rule, bold=True)
    lines = [f"{alert.time:%Y-%m-%d %H:%M:%S.%f}Z  {priority} {rule}", f"    {printable(alert.output)}"]
    width = max(map(len, alert.fields), default=0)
    lines += [f"      {name:<{width}}  {printable(field_text(value))}" for name, value in alert.fields.items()]
    return "\n".join(lines)
