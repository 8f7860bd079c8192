"""Builds the measured plugins: the peers, with their SDKs from the registries, and those of this SDK; and the host."""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from falco_plugin._build import embedded

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "bench"
_BENCH = ROOT / "bench"


class BuildError(Exception):
    """A tool is missing or a build failed; the message names the tool or has the output of the build."""


@dataclass(frozen=True)
class Peer:
    """A plugin that is written without this SDK and does the same workloads."""

    title: str
    tool: str
    version: tuple[str, ...]
    """The command that prints the version of the tool."""


PEERS = {
    "c": Peer("C", "cc", ("cc", "--version")),
    "golang": Peer("Go SDK", "go", ("go", "version")),
    "rust": Peer("Rust SDK", "cargo", ("rustc", "--version")),
}
READER = "reader"
"""The name of the library, in C, that reads the table of another plugin."""

RUST_TABLES = "rust-tables"
"""The name of the library of the Rust SDK that shares tables with a plugin of this SDK."""
RUST_SENDING = "rust-sending"
"""The name of the library of the Rust SDK that sends async events."""
SELF_CONTAINED = "self-contained"
"""The name of the library that has the same plugin as `ours`, and brings its own Python."""
OTHER_PYTHON = "other-python"
"""The name of the library that has the same plugin as `ours`, and was built with another Python."""
OURS = {
    "ours": _BENCH / "plugins" / "ours",
    OTHER_PYTHON: _BENCH / "plugins" / "ours",
    SELF_CONTAINED: _BENCH / "plugins" / "ours",
    "smallest": _BENCH / "plugins" / "smallest.py",
    "tables": _BENCH / "plugins" / "tables.py",
    "sending": _BENCH / "plugins" / "sending.py",
    "parsing": _BENCH / "plugins" / "parsing.py",
    f"smallest-{SELF_CONTAINED}": _BENCH / "plugins" / "smallest.py",
}


def build(names: Collection[str], other_python: str = "") -> dict[str, Path]:
    """Builds plugin libraries. The build tools skip those that are up to date.

    Args:
        names: keys of `PEERS` and `OURS`.
        other_python: the Python that builds `OTHER_PYTHON`, which has the SDK.

    Returns:
        The path of each library, by name.

    Raises:
        BuildError: a tool is missing, or a build failed.
    """
    for name in names:
        if name in PEERS and shutil.which(PEERS[name].tool) is None:
            rest = ",".join(peer for peer in PEERS if peer != name)
            message = f"{PEERS[name].tool} is missing, which builds the peer {name}"
            raise BuildError(f"{message}: install it, or leave the peer out with PEERS={rest}")
    # Plugins do not write bytecode. pip compiles the package when it is installed, but a checkout may not be compiled.
    compileall.compile_dir(ROOT / "python" / "falco_plugin", quiet=1)
    BUILD.mkdir(parents=True, exist_ok=True)
    pythons = {OTHER_PYTHON: other_python}
    return {
        name: _BUILDERS[name](name) if name in _BUILDERS else _build_ours(name, pythons.get(name, sys.executable))
        for name in names
    }


def host() -> Path:
    """Writes the native host, which is embedded in the package, to a file and returns its path."""
    BUILD.mkdir(parents=True, exist_ok=True)
    path = BUILD / "falco-plugin-host"
    part = path.with_suffix(".part")
    part.write_bytes(embedded.read("host"))
    part.chmod(0o755)
    part.rename(path)
    return path


def _build_c(name: str) -> Path:
    library = BUILD / f"lib{name}.so"
    source = "reader.c" if name == READER else "peer.c"
    flags = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC"]
    run(name, "cc", *flags, str(_BENCH / "peers" / "c" / source), "-o", str(library))
    return library


def _build_golang(name: str) -> Path:
    library = BUILD / "libgolang.so"
    command = ["go", "build", "-buildvcs=false", "-buildmode=c-shared", "-o", str(library), "."]
    run(name, *command, cwd=_BENCH / "peers" / "golang", env={"GOFLAGS": "-mod=mod", "CGO_ENABLED": "1"})
    return library


def _build_rust(name: str) -> Path:
    target = BUILD / "rust"
    manifest = _BENCH / "peers" / "rust" / "Cargo.toml"
    package = name.replace("rust", "bench-peer")
    command = [
        "cargo",
        "build",
        "--quiet",
        "--release",
        "--locked",
        "--package",
        package,
        "--manifest-path",
        str(manifest),
    ]
    run(name, *command, env={"CARGO_TARGET_DIR": str(target)})
    return target / "release" / f"lib{package.replace('-', '_')}.so"


def _build_ours(name: str, python: str) -> Path:
    library = BUILD / f"lib{name}.so"
    kind = [] if name.endswith(SELF_CONTAINED) else ["--linked"]
    run(name, python, "-m", "falco_plugin", "build", *kind, str(OURS[name]), "-o", str(library))
    return library


_BUILDERS = {
    "c": _build_c,
    READER: _build_c,
    "golang": _build_golang,
    "rust": _build_rust,
    RUST_TABLES: _build_rust,
    RUST_SENDING: _build_rust,
}


def run(name: str, *command: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Runs a command and returns its output.

    Raises:
        BuildError: it failed. `name` is the plugin for which it runs.
    """
    process = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if process.returncode != 0:
        raise BuildError(f"cannot build {name}: `{' '.join(command[:2])}` failed:\n{process.stderr or process.stdout}")
    return process.stdout
