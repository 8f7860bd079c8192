"""Plugin libraries built from source strings."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

from click.testing import CliRunner

from falco_plugin import _library, _target
from falco_plugin.cli.main import main

Sources = str | Mapping[str, str | bytes]
Build = Callable[..., Path]


def write_sources(folder: Path, sources: Mapping[str, str | bytes]) -> Path:
    """Writes files below a folder; text is dedented."""
    for name, content in sources.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else textwrap.dedent(content).encode())
    return folder


def build_plugin(folder: Path, source: Sources, name: str = "plugin") -> Path:
    """Builds a file's text, or the files of a folder, into ``<name>.so`` in `folder` with the command."""
    library = folder / f"{name}.so"
    if isinstance(source, str):
        target = write_sources(folder, {f"{name}.py": source}) / f"{name}.py"
    else:
        target = write_sources(folder / name, source)
    result = CliRunner().invoke(main, ["build", str(target), "-o", str(library)])
    assert result.exit_code == 0, result.output
    return library


def build_changed(folder: Path, source: str, name: str = "changed", **manifest: str) -> Path:
    """A library whose manifest says something else here and there, as if the environment had changed since."""
    loaded = _target.load(str(write_sources(folder, {f"{name}.py": source}) / f"{name}.py"))
    library = folder / f"{name}.so"
    _library.write(library, {**loaded.manifest(), **manifest}, loaded.archive, hidden=loaded._hidden())
    return library


def simple(name: str, body: str = "", *, events: str = "[b'one', b'two']") -> str:
    """A plugin that delivers some payloads and ends; `body` is more of its class."""
    return (
        "from falco_plugin import EOF, Plugin, source\n\n\n"
        f"class Simple(Plugin):\n"
        f'    """Simple"""\n\n'
        f'    name = "{name}"\n\n'
        "    def open(self, params):\n"
        f"        items = iter({events})\n\n"
        "        def pull(context, writer):\n"
        "            for item in items:\n"
        "                writer.write(item)\n"
        "                return\n"
        "            raise EOF\n\n"
        "        return source.PullInstance(pull)\n\n" + textwrap.indent(textwrap.dedent(body), "    ")
    )
