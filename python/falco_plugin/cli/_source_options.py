"""The options of commands that run an event source in the native host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import click

from falco_plugin._build import host
from falco_plugin.cli._help import option
from falco_plugin.cli._output import exit_as_host
from falco_plugin.cli._targets import library_of

Command = Callable[..., Any]

SOURCE = "Source"
PLUGINS = "Plugins"
OUTPUT = "Output"


class ConfigText(click.ParamType[str]):
    """The ``init_config`` of a plugin as text, or ``@FILE`` with the file that has it."""

    name = "TEXT|@FILE"
    file: Path | None = None

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Returns the text; that of a file as Falco passes it. ``@@`` is a text that begins with ``@``."""
        if not value.startswith("@"):
            return str(value)
        if value.startswith("@@"):
            return str(value[1:])
        # Only here, because it imports the reader of YAML.
        from falco_plugin._falco import falco_yaml
        from falco_plugin._falco.errors import FalcoError

        path = Path(value[1:])
        try:
            text = falco_yaml.config_of_file(path)
        except FalcoError as error:
            self.fail(error.message, param, ctx)
        return FileText(text, path)


class FileText(str):
    """A text that was read from a file."""

    __slots__ = ("path",)
    path: Path

    def __new__(cls, text: str, path: Path) -> FileText:
        """Makes the text."""
        made = super().__new__(cls, text)
        made.path = path
        return made


def source_options(*, fields: str, target_is_required: bool = True) -> Callable[[Command], Command]:
    """Adds the argument TARGET and these options to a command, in this order. `fields` is the help of ``--fields``."""
    options = (
        click.argument("target", required=target_is_required, default=None),
        option("--params", group=SOURCE, default="", help="The plugin's open_params, such as the path of a file."),
        option(
            "--scap",
            group=SOURCE,
            metavar="FILE",
            help="Read the events of this capture file, such as system calls, instead of the plugin's own source.",
        ),
        option("--limit", group=SOURCE, type=click.IntRange(min=1), help="Stop after this many events."),
        option(
            "--config",
            group=PLUGINS,
            type=ConfigText(),
            default="",
            help="The plugin's init_config, as text, or @ and the path of a YAML or JSON file that has it.",
        ),
        option(
            "--with",
            "others",
            group=PLUGINS,
            multiple=True,
            metavar="TARGET",
            help="Also load this plugin, which parses the events or extracts fields from them. Can be repeated.",
        ),
        option(
            "--with-config",
            "other_configs",
            group=PLUGINS,
            type=ConfigText(),
            multiple=True,
            help="The init_config of a plugin of --with: the first is for the first --with, and so on.",
        ),
        option("--fields", group=OUTPUT, multiple=True, metavar="LIST", help=fields),
        option("--all-fields", group=OUTPUT, is_flag=True, help="Extract all fields that need no argument."),
    )

    def add(command: Command) -> Command:
        for add_option in reversed(options):
            command = add_option(command)
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
    replacement: tuple[str, ...] = field(default=())
    """The option that replaces the source by another file than a capture, with its value."""

    def check(self) -> None:
        """Refuses options that do not fit together."""
        if len(self.other_configs) > len(self.others):
            raise click.UsageError("more --with-config than --with: each --with-config belongs to one --with")
        replacement = self.replacement[0] if self.replacement else "--scap" if self.scap is not None else None
        if replacement is not None and self.params:
            raise click.UsageError(f"{replacement} replaces a source: leave out --params")

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets: the one that runs, then those of ``--with``."""
        return (self.target, *self.others)

    def arguments(self, subcommand: str, libraries: Sequence[Path], options: Sequence[str]) -> list[str | Path]:
        """Returns the arguments of the native host.

        Args:
            subcommand: the host's command.
            libraries: the library of each target.
            options: further options.
        """
        arguments: list[str | Path] = [subcommand, libraries[0], "--target", self.target]
        arguments += ["--config", self.config, "--params", self.params, *options, *self.replacement]
        if self.scap is not None:
            arguments += ["--scap", self.scap]
        if self.limit is not None:
            arguments += ["--limit", str(self.limit)]
        for names in self.fields:
            arguments += ["--fields", names]
        if self.all_fields:
            arguments.append("--all-fields")
        configs = [*self.other_configs, *[""] * (len(self.others) - len(self.other_configs))]
        for other, target, config in zip(libraries[1:], self.others, configs, strict=True):
            arguments += ["--with", other, "--with-target", target, "--with-config", config]
        return arguments

    def run_host(self, subcommand: str, options: Sequence[str], debug: bool) -> NoReturn:
        """Runs a subcommand of the native host with these options and further ones, and exits with its status."""
        self.check()
        with ExitStack() as stack:
            libraries = [stack.enter_context(library_of(target, debug)) for target in self.targets]
            exit_as_host(host.run(self.arguments(subcommand, libraries, options)))
