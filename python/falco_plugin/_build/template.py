"""Makes the folder of a new plugin from a template."""

from __future__ import annotations

import io
import keyword
import re
import shutil
import tokenize
from collections.abc import Iterator
from pathlib import Path

from falco_plugin._declare import plugin_ids
from falco_plugin._declare.capabilities import check
from falco_plugin.errors import PluginError
from falco_plugin.plugin import Plugin

DEFAULT = "generator"

_FOLDER = Path(__file__).parents[1] / "templates"
_SHARED = "shared"
"""The folder with the files that all templates have. A template may replace them."""
_SUFFIX = ".txt"
"""The suffix of all files of a template, so that no tool takes them for files of this project."""
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


def names() -> list[str]:
    """Returns the names of the templates, the default first."""
    found = {folder.name for folder in _FOLDER.iterdir() if (folder / f"plugin.py{_SUFFIX}").exists()}
    return [DEFAULT, *sorted(found - {DEFAULT})]


def summary(template: str) -> str:
    """Returns what the plugin of a template does: the first line of its docstring, without the verb's capital."""
    code = (_FOLDER / template / f"plugin.py{_SUFFIX}").read_text(encoding="utf-8")
    line = code.removeprefix('"""').partition("\n")[0].rstrip('".')
    return line[0].lower() + line[1:]


class TemplateError(Exception):
    """The folder cannot be made. The message is one line."""


def create(folder: Path, name: str, template: str) -> list[Path]:
    """Writes the folder of a new plugin. After an error, no part of it is left.

    Args:
        folder: the folder, which must not exist.
        name: the plugin's name.
        template: one of :func:`names`.

    Returns:
        The paths of the files, sorted.

    Raises:
        TemplateError: Falco does not accept the name, or the folder exists or cannot be written.
    """
    event_source = name.replace("-", "_")
    _check_name(name, event_source)
    sources = dict(_files(template))
    values = {
        "name": name,
        "event_source": event_source,
        "id": f"{plugin_ids.private_id(name):_}",
        "class_name": _class_name(name, sources["plugin.py"]),
        # Some tools for packages leave out hidden folders.
        "github": ".github",
        "distribution": f"falco-plugin-{name.rstrip('-_')}",
    }
    texts = {folder / _fill(file, values): _fill(text, values) for file, text in sources.items()}
    try:
        folder.mkdir()
    except FileExistsError:
        raise TemplateError(f"{folder} already exists: remove it, or choose another name") from None
    except OSError as error:
        raise TemplateError(f"cannot make {folder}: {error.strerror}") from error
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except BaseException as error:
        shutil.rmtree(folder)
        if isinstance(error, OSError):
            raise TemplateError(f"cannot write {folder}: {error.strerror}") from error
        raise
    return sorted(texts)


def _check_name(name: str, event_source: str) -> None:
    """Makes the same checks as building the plugin will do."""

    def no_events(_plugin: Plugin, _params: str) -> tuple[()]:
        return ()

    try:
        check(type("NAME", (Plugin,), {"name": name, "event_source": event_source, "open": no_events})())
    except PluginError as error:
        raise TemplateError(str(error)) from None


def _files(template: str) -> Iterator[tuple[str, str]]:
    for folder in (_SHARED, template):
        for path in sorted((_FOLDER / folder).rglob(f"*{_SUFFIX}")):
            name = path.relative_to(_FOLDER / folder).as_posix()
            yield name.removesuffix(_SUFFIX), path.read_text(encoding="utf-8")


def _class_name(name: str, code: str) -> str:
    """Returns the name in CamelCase. Appends ``Plugin`` if the code already uses that word, such as ``Path``."""
    camel_case = "".join(part.capitalize() for part in re.split("[-_]", name))
    words = {token.string for token in tokenize.generate_tokens(io.StringIO(code).readline)}
    return f"{camel_case}Plugin" if camel_case in words or keyword.iskeyword(camel_case) else camel_case


def _fill(text: str, values: dict[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda placeholder: values[placeholder[1]], text)
