"""``falco-plugin``, the command. Each module of this package without a leading underscore, except this one, is a
command: it defines a function with the module's name.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import pkgutil
import signal
import sys
import threading
from collections.abc import Generator
from typing import Any

import click

from falco_plugin import __version__, cli


class _Group(click.Group):
    """Finds the commands among the modules of this package, and imports only those that are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        names = (module.name for module in pkgutil.iter_modules(cli.__path__))
        return sorted(name for name in names if name != "main" and not name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = getattr(importlib.import_module(f"{cli.__name__}.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes each command with its whole summary, which Click would cut to one line."""
        commands = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        with formatter.section("Commands"):
            formatter.write_dl([(name, _summary(command)) for name, command in commands if command is not None])

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command. If it is interrupted, the exit status is the one that a shell expects."""
        received: list[int] = []
        try:
            with _removing_files(received):
                return super().invoke(ctx)
        except BaseException as error:
            if received or isinstance(error, KeyboardInterrupt):
                sys.exit(128 + next(iter(received), signal.SIGINT))
            raise


def _summary(command: click.Command) -> str:
    """Returns the first paragraph of a command's help."""
    paragraph, _, _ = inspect.cleandoc(command.help or "").partition("\n\n")
    return " ".join(paragraph.split())


class Terminated(BaseException):
    """The command got SIGTERM."""


@contextlib.contextmanager
def _removing_files(received: list[int]) -> Generator[None]:
    """Makes SIGTERM an exception, so that the command removes its temporary files and ends the programs it runs.

    Args:
        received: gets the number of the signal.
    """

    def raise_error(number: int, _: object) -> None:
        received.append(number)
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, raise_error)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="falco-plugin")
@click.option("--debug", is_flag=True, help="Show the traceback of an error in the plugin.")
@click.pass_context
def main(context: click.Context, debug: bool) -> None:
    """Build, inspect and run Falco plugins written in Python.

    falco-plugin COMMAND --help shows the options of a command, with examples.
    """
    context.obj = debug
