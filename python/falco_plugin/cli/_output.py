"""Messages of the command on stderr. Each is one line that begins with the name of the command."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

import click


def warn(message: str) -> None:
    """Prints a warning."""
    click.echo(f"falco-plugin: warning: {' '.join(message.split())}", err=True)


def fail(message: str, details: str = "") -> NoReturn:
    """Prints an error, with lines of details below it, and exits with status 1."""
    click.echo(f"falco-plugin: {' '.join(message.split())}{details}", err=True)
    sys.exit(1)


def exit_as_host(status: int) -> NoReturn:
    """Exits with the status of the native host; if a signal killed the host, reports the crash."""
    if status < 0:
        name = signal.Signals(-status).name if -status in list(signal.Signals) else "a signal"
        fail(f"the plugin crashed the host with {name} (signal {-status})")
    sys.exit(status)
