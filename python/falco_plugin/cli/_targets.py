"""The argument TARGET and the option ``--debug``, which several commands have."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from falco_plugin._build import target as targets
from falco_plugin._build import temporary
from falco_plugin._build.errors import TargetError
from falco_plugin._runtime.failures import format_trace
from falco_plugin.cli._output import fail

Command = TypeVar("Command", bound=Callable[..., Any])


def debug_option(command: Command) -> Command:
    """Adds ``--debug`` to a command. ``falco-plugin --debug COMMAND`` sets it, too."""

    def is_set(context: click.Context, _option: click.Parameter, value: bool) -> bool:
        return value or bool(context.obj)

    option = click.option(
        "--debug", is_flag=True, callback=is_set, help="Show the traceback of an error in the plugin."
    )
    return option(command)


@contextmanager
def library_of(target: str, debug: bool) -> Generator[Path]:
    """Returns the library of a target; for Python code, builds one that exists as long as the context."""
    if targets.is_library(target):
        yield Path(target)
        return
    with temporary.folder() as folder:
        with reported_errors(debug):
            path = targets.load(target).write_into(folder)
        yield path


@contextmanager
def reported_errors(debug: bool) -> Generator[None]:
    """Exits with a message if the target has an error. The message has a traceback only if `debug` is set."""
    try:
        yield
    except TargetError as error:
        fail(str(error), format_trace(error.__cause__) if debug and error.__cause__ is not None else "")
