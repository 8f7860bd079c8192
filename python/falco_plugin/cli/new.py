"""``falco-plugin new``."""

from __future__ import annotations

from pathlib import Path

import click

from falco_plugin._build import template as templates
from falco_plugin.cli import _help
from falco_plugin.cli._output import fail

_EXAMPLES = """
falco-plugin new my_plugin
falco-plugin new my_plugin --template extract
"""


class _Command(_help.Command):
    """Also shows what the plugin of each template does."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the options, and then the templates."""
        super().format_options(ctx, formatter)
        with formatter.section("Templates"):
            formatter.write_dl([(name, templates.summary(name)) for name in templates.names()])


@click.command(cls=_Command, examples=_EXAMPLES)
@click.argument("name")
@click.option(
    "--template",
    type=click.Choice(templates.names()),
    default=templates.DEFAULT,
    show_default=True,
    help="The kind of plugin. See Templates below.",
)
def new(name: str, template: str) -> None:
    """Create a folder with a new plugin.

    The folder NAME gets a plugin that works, its test, rules with their tests, a falco.yaml, and a workflow for CI.
    """
    try:
        files = templates.create(Path(name), name, template)
    except templates.TemplateError as error:
        fail(str(error))
    for path in files:
        click.echo(path)
    click.echo(f"\nNext steps, from {name}/README.md:\n")
    click.echo(f"  cd {name}\n  pip install '.[test]'\n  pytest\n  falco-plugin build .")
