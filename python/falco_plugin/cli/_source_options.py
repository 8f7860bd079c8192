"""The options of commands that run an event source in the native host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, NoReturn

import click

from falco_plugin._build import host
from falco_plugin.cli._output import exit_as_host
from falco_plugin.cli._targets import library_of

Command = Callable[..., Any]


def source_options(*, fields: str) -> Callable[[Command], Command]:
    """Adds the argument TARGET and these options to a command, in this order. `fields` is the help of ``--fields``."""
    options = (
        click.argument("target"),
        click.option("--config", default="", help="The plugin's init_config, as text."),
        click.option("--params", default="", help="The plugin's open_params, such as the path of a file."),
        click.option(
            "--scap",
            metavar="FILE",
            help="Read the events of this capture file, such as system calls, instead of the plugin's own source.",
        ),
        click.option("--limit", type=click.IntRange(min=1), help="Stop after this many events."),
        click.option("--fields", multiple=True, metavar="LIST", help=fields),
        click.option("--all-fields", is_flag=True, help="Extract all fields that need no argument."),
        click.option(
            "--with",
            "others",
            multiple=True,
            metavar="TARGET",
            help="Also load this plugin, which parses the events or extracts fields from them.",
        ),
        click.option(
            "--with-config",
            "other_configs",
            multiple=True,
            metavar="TEXT",
            help="The init_config of a plugin of --with: the first is for the first --with, and so on.",
        ),
    )

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@dataclass(frozen=True)
class SourceOptions:
    """The values of these options."""

    target: str
    config: str
    params: str
    scap: str | None
    limit: int | None
    fields: tuple[str, ...]
    all_fields: bool
    others: tuple[str, ...]
    other_configs: tuple[str, ...]

    def run_host(self, subcommand: str, options: Sequence[str], debug: bool) -> NoReturn:
        """Runs a subcommand of the native host with these options and further ones, and exits with its status."""
        if len(self.other_configs) > len(self.others):
            raise click.UsageError("more --with-config than --with: each --with-config belongs to one --with")
        if self.scap is not None and self.params:
            raise click.UsageError("--scap replaces a source: leave out --params")
        arguments = ["--config", self.config, "--params", self.params, *options]
        if self.scap is not None:
            arguments += ["--scap", self.scap]
        if self.limit is not None:
            arguments += ["--limit", str(self.limit)]
        for names in self.fields:
            arguments += ["--fields", names]
        if self.all_fields:
            arguments.append("--all-fields")
        with ExitStack() as stack:
            targets = (self.target, *self.others)
            library, *others = (stack.enter_context(library_of(target, debug)) for target in targets)
            further: list[str | Path] = []
            for other, target, config in zip_longest(others, self.others, self.other_configs, fillvalue=""):
                further += ["--with", other, "--with-target", target, "--with-config", config]
            exit_as_host(host.run([subcommand, library, "--target", self.target, *arguments, *further]))
