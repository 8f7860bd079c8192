"""``falco-plugin new``."""

from __future__ import annotations

from pathlib import Path

import click

from falco_plugin._build import template as templates
from falco_plugin.cli import _help
from falco_plugin.cli._output import fail

_EXAMPLES = """
falco-plugin new my_plugin
falco-plugin new my_plugin --template push
"""


@click.command(cls=_help.Command, examples=_EXAMPLES)
@click.argument("name")
@click.option(
    "--template",
    type=click.Choice(templates.TEMPLATES),
    default="generator",
    show_default=True,
    help="How the plugin makes events: a generator yields them, it polls an HTTP API, or a thread pushes them.",
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
