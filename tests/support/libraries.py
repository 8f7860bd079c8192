"""Plugin libraries built from source strings.

They are linked libraries, which are built in a moment. ``FALCO_PLUGIN_TEST_LIBRARIES=self-contained`` makes them all
self-contained (``make test-self-contained``).
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

from click.testing import CliRunner

from falco_plugin._build import library, target
from falco_plugin.cli.main import main

Sources = str | Mapping[str, str | bytes]
Build = Callable[..., Path]

ARE_SELF_CONTAINED = os.environ.get("FALCO_PLUGIN_TEST_LIBRARIES") == "self-contained"
"""Whether tests that work with both kinds of libraries get self-contained ones."""
_SELF_CONTAINED = ["--debug-symbols"] if "C_HOST" in os.environ else []
"""The options for self-contained libraries. A memory checker needs the sections of native code for its reports."""
KIND = _SELF_CONTAINED if ARE_SELF_CONTAINED else ["--linked"]
"""The options of ``falco-plugin build`` for such tests."""


def write_sources(folder: Path, sources: Mapping[str, str | bytes]) -> Path:
    """Writes files below a folder; strings are dedented."""
    for name, content in sources.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else textwrap.dedent(content).encode())
    return folder


def build_plugin(
    folder: Path, source: Sources, name: str = "plugin", *, self_contained: bool = ARE_SELF_CONTAINED
) -> Path:
    """Builds a source string, or the files of a package, into ``<name>.so`` in `folder` with the command."""
    path = folder / f"{name}.so"
    if isinstance(source, str):
        plugin = write_sources(folder, {f"{name}.py": source}) / f"{name}.py"
    else:
        plugin = write_sources(folder / name, source)
    kind = _SELF_CONTAINED if self_contained else ["--linked"]
    result = CliRunner().invoke(main, ["build", *kind, str(plugin), "-o", str(path)])
    assert result.exit_code == 0, result.output
    return path


def build_changed(folder: Path, source: str, name: str = "changed", /, **manifest: str) -> Path:
    """Builds a library with other values in its manifest, as if the environment had changed after the build."""
    loaded = target.load(str(write_sources(folder, {f"{name}.py": source}) / f"{name}.py"))
    path = folder / f"{name}.so"
    library.write(path, {**loaded.manifest(), **manifest}, loaded.archive, hidden=loaded.hidden_symbols())
    return path


def simple_plugin(name: str, body: str = "", *, events: str = "[b'one', b'two']") -> str:
    """Returns the source of a plugin that delivers some payloads and ends; `body` is added to its class."""
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
