"""Reloads six plugins in one host repeatedly, and checks that no event is lost and no resource leaks.

The host is `rust/host/examples/endurance`. The plugins are in `tests/soak/reloaded`: a generator, threads that push,
lines of a growing file, an asynchronous HTTP client, a listener that needs 0.3 s to release its port, and a plugin that
each reload replaces by another variant: with changed code, a changed dependency, or a changed Python.
"""

from __future__ import annotations

import argparse
import platform
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.soak.host import ROOT, BuildError, run_command, run_host
from tests.soak.http_server import serve
from tests.soak.result import Quantities, Quantity, Result
from tests.soak.series import Limit

_HERE = ROOT / "tests" / "soak"
_REPORT = _HERE / "results" / "reloads.md"
PLUGINS = ("generator", "threads", "lines", "client", "port")
_NUMBERS_PER_ANSWER = 25
"""Number of lines in one answer of the server."""

_INTERNED = 204
"""KiB by which the table of interned strings of an interpreter grows once.

Each reload interns and drops some strings. The table never uses the slot of a dropped string again. When its slots are
used up, CPython copies the strings to a table for three times as many: once twice as large, then of the same size.
"""

_QUANTITIES: Quantities = (
    ("rss_kib", "resident memory", "KiB", Limit(0, 1024)),
    ("heap_kib", "resident memory in use by malloc", "KiB", Limit(0, 512)),
    ("descriptors", "open descriptors", "", Limit(0, 0)),
    ("maps", "mappings of memory", "", Limit(0, 5)),
    ("threads", "threads", "", Limit(0, 0)),
    ("python_threads", "Python threads", "", Limit(0, 0)),
    ("objects", "Python objects", "", Limit(0, 50)),
    ("blocks", "Python memory blocks", "", Limit(0, 500)),
    ("modules", "Python modules", "", Limit(0, 0)),
)
"""The quantities that are sampled at the start of each round, and the growth allowed for each."""
_PER_INTERPRETER = {"rss_kib": _INTERNED, "heap_kib": _INTERNED, "maps": 1}
"""The growth that is allowed in addition for each interpreter."""


@dataclass(frozen=True)
class Variant:
    """The plugin `changed` with its own code, a version of its dependency, and a Python that has the SDK."""

    series: int
    dependency: int
    python: str


def _variants(other_python: str | None) -> list[Variant]:
    """Returns the variants in the order of their installation."""
    here = [Variant(0, 1, sys.executable), Variant(1, 1, sys.executable), Variant(2, 2, sys.executable)]
    return [*here, Variant(3, 1, other_python)] if other_python else here


def reload(
    count: int,
    milliseconds: int,
    log: Callable[[str], None] = lambda text: None,
    *,
    linked: bool = False,
    other_python: str | None = None,
) -> Result:
    """Builds the host and the plugins, and reloads the plugins `count` times, at least `milliseconds` apart.

    Args:
        count: the number of reloads.
        milliseconds: the least time between two of them.
        log: is called with each fault and each sample.
        linked: uses linked libraries, which share one interpreter. They have no variants.
        other_python: another Python with the SDK, for a variant of the plugin `changed`.

    Raises:
        BuildError: the host or a plugin cannot be built.
    """
    with (
        tempfile.TemporaryDirectory(prefix="falco-plugin-reloads-") as name,
        _append_lines(Path(name, "log")),
        serve(_numbers) as url,
    ):
        folder = Path(name)
        params = {
            "generator": str(folder / "generator.cursor"),
            "threads": str(folder / "threads.cursor"),
            "lines": str(folder / "log"),
            "client": f"{url} {folder / 'client.cursor'}",
            "port": f"{_free_port()} {folder / 'port.cursor'}",
        }
        kind = ["--linked"] if linked else []
        libraries = {name: _build(_HERE / "reloaded" / f"{name}.py", folder, kind) for name in PLUGINS}
        interpreters = 1 if linked else len(libraries)
        arguments = [part for name in PLUGINS for part in (str(libraries[name]), params[name])]
        if not linked:
            variants = _variants(other_python)
            built = [str(_build_variant(variant, folder)) for variant in variants]
            arguments += [",".join(built), str(folder / "changed.cursor")]
            # A variant with the same dependency and the same Python uses the interpreter of the preceding one.
            interpreters += len({(variant.dependency, variant.python) for variant in variants})
        arguments = ["reloads", str(count), str(milliseconds), str(interpreters), *arguments]
        reported = run_host(arguments, log)
        return Result(reported, [_with_interpreters(quantity, interpreters) for quantity in _QUANTITIES])


def _with_interpreters(quantity: Quantity, interpreters: int) -> Quantity:
    name, title, unit, limit = quantity
    growth = _PER_INTERPRETER.get(name, 0) * interpreters
    return name, title, unit, Limit(limit.fraction, limit.absolute + growth)


def _build(source: Path, folder: Path, kind: Sequence[str], python: str = sys.executable) -> Path:
    """Builds a library next to other results."""
    library = folder / f"{source.parent.name}-{source.stem}.so"
    run_command(python, "-m", "falco_plugin", "build", *kind, str(source), "-o", str(library))
    return library


def _build_variant(variant: Variant, folder: Path) -> Path:
    source = folder / f"variant{variant.series}" / "changed.py"
    source.parent.mkdir()
    version = run_command(variant.python, "-c", "import sys; print(tuple(sys.version_info[:2]))").strip()
    text = (_HERE / "reloaded" / "changed.py").read_text()
    changed = {"SERIES = 0": f"SERIES = {variant.series}", "DEPENDENCY = 1": f"DEPENDENCY = {variant.dependency}"}
    for old, new in {**changed, "PYTHON = (3, 11)": f"PYTHON = {version}"}.items():
        text = text.replace(old, new)
    source.write_text(text)
    return _build(source, folder, [], _install_dependency(source.parent / "environment", variant))


def _install_dependency(environment: Path, variant: Variant) -> str:
    """Makes an environment with the packages of the variant's Python, and with its version of `reloaded-dependency`.

    Returns:
        The path of its Python.
    """
    run_command(variant.python, "-m", "venv", "--without-pip", str(environment))
    python = str(environment / "bin" / "python")
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    base, packages = (run_command(path, "-c", code).strip() for path in (variant.python, python))
    folder, version = Path(packages), variant.dependency
    (folder / "base.pth").write_text(f"import site; site.addsitedir({base!r})\n")
    metadata = folder / f"reloaded_dependency-{version}.dist-info"
    metadata.mkdir()
    (folder / "reloaded_dependency.py").write_text(f"VERSION = {version}\n")
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: reloaded-dependency\nVersion: {version}\n")
    names = ("reloaded_dependency.py", f"{metadata.name}/METADATA", f"{metadata.name}/RECORD")
    (metadata / "RECORD").write_text("".join(f"{name},,\n" for name in names))
    return python


@contextmanager
def _append_lines(path: Path) -> Generator[None]:
    """Appends a line to a file each millisecond."""
    ended = threading.Event()

    def write() -> None:
        with path.open("w", buffering=1) as file:
            number = 0
            while not ended.wait(0.001):
                file.write(f"0 {number}\n")
                number += 1

    path.touch()
    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()


def _numbers(path: str) -> bytes:
    """Returns lines with consecutive numbers, beginning at the parameter `after`."""
    (after,) = parse_qs(urlsplit(path).query)["after"]
    return "".join(f"0 {int(after) + number}\n" for number in range(_NUMBERS_PER_ANSWER)).encode()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


# The report


def report(reloaded: Result) -> str:
    """Returns a Markdown report with tables of the delivered events and of the sampled quantities."""
    total = reloaded.total
    lines = [
        "# Reloads",
        "",
        f"`make reloads`: {len(reloaded.samples) - 1} reloads of {len(total['events'])} plugins in one process of a",
        f"host in Rust, in {total['seconds'] / 60:.1f} minutes, Python {platform.python_version()}.",
        "A reload first loads, initialises and destroys each library on another thread, as Falco tries a new",
        "configuration. Then it closes and destroys all plugins, unloads their libraries, and starts again. The",
        "listener needs 0.3 s to release its port. Its next `open` fails if the port is still in use. The plugin",
        "`changed` is replaced at each reload by its next variant: with changed code, a changed dependency, or a",
        "changed Python.",
        "",
        f"**{sum(total['events']):,} events, {len(reloaded.faults)} faults.** A fault is a gap in the numbers that a",
        "source delivers, a log line of an error or a warning, or a call that fails.",
        f"{total['repeated']:,} events were repeated: each source has a cursor, and repeats events that were",
        "not acknowledged.",
        "",
        *reloaded.failure(),
        "| source | events |",
        "|---|--:|",
        *(f"| {name} | {count:,} |" for name, count in zip([*PLUGINS, "changed"], total["events"], strict=False)),
        "",
        "## Sampled quantities",
        "",
        "Each round is sampled once, after all plugins are initialised and before any source is open. The columns are",
        "medians of a fifth of the samples. A quantity is flat if the last column exceeds the second by at most the",
        "allowed growth. For memory it includes the one growth of each interpreter's table of interned strings.",
        "",
        *reloaded.table(),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="reloads", description=__doc__)
    parser.add_argument("--reloads", type=int, default=300)
    parser.add_argument("--milliseconds", type=int, default=50, help="minimum time between two reloads")
    parser.add_argument("--linked", action="store_true", help="use linked libraries")
    parser.add_argument("--other-python", help="another Python that has the SDK, for one variant")
    parser.add_argument("--report", type=Path, default=_REPORT)
    options = parser.parse_args()
    try:
        reloaded = reload(
            options.reloads,
            options.milliseconds,
            lambda text: print(text, flush=True),
            linked=options.linked,
            other_python=options.other_python,
        )
    except BuildError as problem:
        sys.exit(f"reloads: {problem}")
    reloaded.finish("reloads", options.report, lambda: report(reloaded))


if __name__ == "__main__":
    main()
