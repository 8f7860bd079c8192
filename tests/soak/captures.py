"""Captures with plugins that parse events, share tables, send async events and have routines, for a long time.

The host is `rust/host/examples/endurance`. It feeds system calls to both plugins of `tests/soak/captured`, reads
metrics and tables from another thread, and reloads the plugins after each capture.
"""

from __future__ import annotations

import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.soak.host import ROOT, run_command, run_host
from tests.soak.result import QUANTITIES, Result, run_for_minutes

_HERE = ROOT / "tests" / "soak"
_REPORT = _HERE / "results" / "captures.md"
_PLUGINS = ("owner", "reader")
"""The plugins in load order."""

_COUNTS = (
    ("captures", "captures, each with new states in reloaded libraries"),
    ("parsed", "calls of `parse_event`"),
    ("fields", "extracted fields"),
    ("async_events", "async events that the host received"),
    ("state_events", "events of `dump_state`"),
    ("metrics", "readings of all metrics of a plugin, on another thread"),
    ("rows", "entries of a plugin's table that the host read, on another thread"),
)


def capture(seconds: int, seed: int, log: Callable[[str], None] = lambda text: None) -> Result:
    """Builds the host and the plugins, and captures with them.

    Raises:
        BuildError: the host or a plugin cannot be built.
    """
    with tempfile.TemporaryDirectory(prefix="falco-plugin-captures-") as name:
        libraries = [_build(plugin, Path(name)) for plugin in _PLUGINS]
        reported = run_host(["captures", str(seed), str(seconds), *map(str, libraries)], log)
        return Result(reported, QUANTITIES)


def _build(plugin: str, folder: Path) -> Path:
    source = folder / plugin
    source.mkdir()
    shutil.copy(_HERE / "captured" / f"{plugin}.py", source / "plugin.py")
    shutil.copy(_HERE / "plugin" / "state.py", source)
    library = folder / f"{plugin}.so"
    run_command(sys.executable, "-m", "falco_plugin", "build", "--linked", str(source), "-o", str(library))
    return library


def report(result: Result, seed: int) -> str:
    """Returns a Markdown report with tables of the actions and the sampled quantities."""
    total = result.total
    lines = [
        "# Captures",
        "",
        f"`make captures`, {total['seconds'] / 60:.1f} minutes, Python {platform.python_version()}, `SEED={seed}`.",
        "One process of a host in Rust without Python, with two plugins. Both parse system calls, read and change the",
        "same table, and send async events; one of them also uses the table `threads`, has two routines, and raises",
        "exceptions on purpose. While a capture runs, another thread reads the metrics of both and all entries of the",
        "table. After each capture the plugins are destroyed and unloaded.",
        "",
        f"**{len(result.faults)} faults.**",
        "",
        *result.failure(),
        "| | |",
        "|---|--:|",
        *(f"| {title} | {total[name]:,} |" for name, title in _COUNTS),
        "",
        "## Sampled quantities",
        "",
        f"{len(result.samples)} samples, each taken after `init` of both plugins. The columns are medians of a fifth",
        "of the samples. A quantity is flat if the last column exceeds the second by at most the allowed growth.",
        "The host itself keeps about 15 KiB of each capture, because it never frees the owner of a plugin.",
        "",
        *result.table(),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run_for_minutes("captures", __doc__, _REPORT, capture, report)
