"""Builds what is measured: the peers from their registries, this SDK's plugins, and the host."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from falco_plugin import _core

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "bench"
_BENCH = ROOT / "bench"


class Unbuildable(Exception):
    """What is missing, and how to go on."""


@dataclass(frozen=True)
class Peer:
    """Another way to write a plugin."""

    title: str
    tool: str
    version: tuple[str, ...]
    """A command that says the tool's."""


PEERS = {
    "c": Peer("C", "cc", ("cc", "--version")),
    "golang": Peer("Go SDK", "go", ("go", "version")),
    "rust": Peer("Rust SDK", "cargo", ("rustc", "--version")),
}
OURS = {"ours": _BENCH / "plugins" / "ours", "smallest": _BENCH / "plugins" / "smallest.py"}


def build(names: Collection[str]) -> dict[str, Path]:
    """Builds libraries; what is up to date is left to the tools.

    Args:
        names: of `PEERS` and `OURS`.

    Returns:
        Where each is.

    Raises:
        Unbuildable: a tool is missing, or a build failed.
    """
    for name in names:
        if name in PEERS and shutil.which(PEERS[name].tool) is None:
            rest = ",".join(peer for peer in PEERS if peer != name)
            message = f"{PEERS[name].tool} is missing, which builds the peer {name}: install it, or leave it out by"
            raise Unbuildable(f"{message} PEERS={rest}")
    BUILD.mkdir(parents=True, exist_ok=True)
    return {name: _BUILDERS.get(name, _build_ours)(name) for name in names}


def host() -> Path:
    """The native host, which is part of the package, as a file."""
    BUILD.mkdir(parents=True, exist_ok=True)
    path = BUILD / "falco-plugin-host"
    part = path.with_suffix(".part")
    part.write_bytes(_core.host())
    part.chmod(0o755)
    part.rename(path)
    return path


def _build_c(name: str) -> Path:
    library = BUILD / "libc.so"
    flags = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC"]
    _run(name, "cc", *flags, str(_BENCH / "peers" / "c" / "peer.c"), "-o", str(library))
    return library


def _build_golang(name: str) -> Path:
    library = BUILD / "libgolang.so"
    command = ["go", "build", "-buildvcs=false", "-buildmode=c-shared", "-o", str(library), "."]
    _run(name, *command, cwd=_BENCH / "peers" / "golang", env={"GOFLAGS": "-mod=mod", "CGO_ENABLED": "1"})
    return library


def _build_rust(name: str) -> Path:
    target = BUILD / "rust"
    manifest = _BENCH / "peers" / "rust" / "Cargo.toml"
    command = ["cargo", "build", "--quiet", "--release", "--locked", "--manifest-path", str(manifest)]
    _run(name, *command, env={"CARGO_TARGET_DIR": str(target)})
    return target / "release" / "libbench_peer.so"


def _build_ours(name: str) -> Path:
    library = BUILD / f"lib{name}.so"
    _run(name, sys.executable, "-m", "falco_plugin", "build", str(OURS[name]), "-o", str(library))
    return library


_BUILDERS = {"c": _build_c, "golang": _build_golang, "rust": _build_rust}


def _run(name: str, *command: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise Unbuildable(f"{name} cannot be built, as `{' '.join(command[:2])}` failed:\n{done.stderr or done.stdout}")
