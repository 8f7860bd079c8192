"""The folder of a new plugin, from the templates beside this module."""

from __future__ import annotations

import io
import keyword
import re
import shutil
import tokenize
from collections.abc import Iterator
from pathlib import Path

from falco_plugin._declare import plugin_ids as _ids
from falco_plugin._declare.capabilities import check
from falco_plugin.errors import PluginError
from falco_plugin.plugin import Plugin

TEMPLATES = ("generator", "push")

_FOLDER = Path(__file__).parents[1] / "templates"
_SUFFIX = ".txt"
"""Of all files of a template, so that no tool takes them for this project's own."""
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


class TemplateError(Exception):
    """Why the folder cannot be made, in one line."""


def create(folder: Path, name: str, template: str) -> list[Path]:
    """Writes a plugin's folder: all of it, or nothing.

    Args:
        folder: the folder, which must not be there yet.
        name: the plugin's name.
        template: one of ``TEMPLATES``.

    Returns:
        The files, sorted.

    Raises:
        TemplateError: Falco would refuse the name, or the folder cannot be written.
    """
    event_source = name.replace("-", "_")
    _check(name, event_source)
    sources = dict(_files(template))
    values = {
        "name": name,
        "event_source": event_source,
        "id": f"{_ids.private(name):_}",
        "class_name": _class_name(name, sources["plugin.py"]),
        "distribution": f"falco-plugin-{name.rstrip('-_')}",
    }
    texts = {folder / _filled(file, values): _filled(text, values) for file, text in sources.items()}
    try:
        folder.mkdir()
    except FileExistsError:
        raise TemplateError(f"{folder} is there already: remove it, or choose another name") from None
    except OSError as problem:
        raise TemplateError(f"cannot make {folder}: {problem.strerror}") from problem
    try:
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
    except BaseException as problem:
        shutil.rmtree(folder)
        if isinstance(problem, OSError):
            raise TemplateError(f"cannot write {folder}: {problem.strerror}") from problem
        raise
    return sorted(texts)


def _check(name: str, event_source: str) -> None:
    """Asks of the name what building asks of a plugin."""

    def no_events(_plugin: Plugin, _params: str) -> tuple[()]:
        return ()

    try:
        check(type("NAME", (Plugin,), {"name": name, "event_source": event_source, "open": no_events})())
    except PluginError as problem:
        raise TemplateError(str(problem)) from None


def _files(template: str) -> Iterator[tuple[str, str]]:
    for folder in ("shared", template):
        for path in sorted((_FOLDER / folder).iterdir()):
            yield path.name.removesuffix(_SUFFIX), path.read_text(encoding="utf-8")


def _class_name(name: str, code: str) -> str:
    """The name in CamelCase, with more to it where the code means something else by it, such as ``Path``."""
    camel_case = "".join(part.capitalize() for part in re.split("[-_]", name))
    taken = {token.string for token in tokenize.generate_tokens(io.StringIO(code).readline)}
    return f"{camel_case}Plugin" if camel_case in taken or keyword.iskeyword(camel_case) else camel_case


def _filled(text: str, values: dict[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda placeholder: values[placeholder[1]], text)
