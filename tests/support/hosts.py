"""The programs that load plugin libraries in their own process: see tests/hosts/README.md."""

from __future__ import annotations

import atexit
import base64
import fcntl
import functools
import json
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from falco_plugin import _core
from support.paths import HOSTS, REPOSITORY

BUILT = REPOSITORY / "target" / "hosts"
MISSING = "/nonexistent/falco-plugin-tests"


@dataclass(frozen=True)
class Ran:
    """What a host said."""

    status: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines()]

    def values(self, key: str) -> list[Any]:
        """The values of one key of all lines that have it."""
        return [line[key] for line in self.lines if key in line]


def environment(**changes: str | None) -> dict[str, str]:
    """This process's environment without what steers hosts and plugin libraries; ``None`` takes a variable away.

    A checkout need not belong to root, so as a rule the check of who can write is off.
    """
    names = {name: value for name, value in os.environ.items() if not name.startswith(("HOST_", "FALCO_PLUGIN_"))}
    names["FALCO_PLUGIN_ALLOW_WRITABLE"] = "1"
    for name, value in changes.items():
        if value is None:
            names.pop(name, None)
        else:
            names[name] = value
    return names


def run(
    *command: object, env: Mapping[str, str] | None = None, cwd: Path | str | None = None, timeout: float = 240
) -> Ran:
    """Runs a program with an environment of its own."""
    done = subprocess.run(
        [str(part) for part in command],
        env=environment() if env is None else env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=timeout,
    )
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


def _checked(ran: Ran) -> Ran:
    assert ran.status == 0, f"exit status {ran.status}\n{ran.stdout}\n{ran.stderr}"
    return ran


@contextmanager
def _building() -> Iterator[None]:
    """One test process builds at a time."""
    BUILT.mkdir(parents=True, exist_ok=True)
    with (BUILT / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _skip_in_special_build() -> None:
    """Libraries of a special build ask their host for what only a host of that build has."""
    if "C_HOST" in os.environ:
        pytest.skip("a host that is not of this special build")


@functools.cache
def c_host_path() -> Path:
    """The host in C: one of a special build where ``C_HOST`` names it, otherwise built here."""
    if special := os.environ.get("C_HOST"):
        return Path(special)
    sources = [HOSTS / "c" / "host.c", HOSTS / "c" / "plugin.h"]
    path = BUILT / "host"
    with _building():
        if not path.exists() or path.stat().st_mtime < max(source.stat().st_mtime for source in sources):
            flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1"]
            built = run("cc", *flags, sources[0], "-o", path, "-ldl", "-lpthread", env=os.environ)
            assert built.status == 0, built.stderr
    return path


@functools.cache
def go_program(name: str) -> Path:
    """Builds a program in Go from its folder in `HOSTS`. Skips the test if Go is missing, but not in CI."""
    if shutil.which("go") is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs Go for {name}")
        pytest.skip(f"{name} needs Go, which is not installed")
    path = BUILT / name
    with _building():
        built = run("go", "build", "-o", path, ".", env=os.environ, cwd=HOSTS / name, timeout=280)
        assert built.status == 0, built.stderr
    return path


def golang_path() -> Path:
    """The host around the loader of the Go SDK."""
    _skip_in_special_build()
    return go_program("golang")


@functools.cache
def native_path() -> Path:
    """The native host of the package, as a file of its own that needs no Python."""
    folder = tempfile.mkdtemp(prefix="falco-plugin-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder, "falco-plugin-host")
    path.write_bytes(_core.host())
    path.chmod(0o700)
    return path


def run_c_host(*arguments: object, env: Mapping[str, str] | None = None, cwd: Path | str | None = None) -> Ran:
    """The host in C, whatever comes of it."""
    return run(c_host_path(), *arguments, env=env, cwd=cwd)


def c_host(*arguments: object, env: Mapping[str, str] | None = None, cwd: Path | str | None = None) -> list[dict]:
    """What the host in C says; it has to succeed."""
    return _checked(run_c_host(*arguments, env=env, cwd=cwd)).lines


def logged(library: Path, config: str = "", params: str = "", env: Mapping[str, str] | None = None) -> Ran:
    """One cycle in the host in C with all its events and log lines, whatever comes of it."""
    return run_c_host("log", library, config, params, env=env)


def texts(ran: Ran, severity: int | None = None) -> list[str]:
    """The messages of the log lines, of one severity or of all."""
    return [log["text"] for log in ran.values("log") if severity in (None, log["severity"])]


def ending(ran: Ran) -> dict:
    """The line that reports how the cycle ended."""
    (line,) = [line for line in ran.lines if "cycle" in line]
    return line


def data_of(ran: Ran) -> list[bytes]:
    """The payloads of the events of a cycle of `logged`."""
    return [base64.b64decode(event["base64"]) for event in ran.values("event")]


def failed_init(library: Path, config: str = "", env: Mapping[str, str] | None = None) -> str:
    """The text of an init that has to fail, heard as the real host hears it."""
    (line,) = c_host("initfail", library, config, env=env)
    assert not line["state_is_null"], "without a state the host cannot ask for the message"
    return line["error"]


def described(library: Path) -> dict[str, Any]:
    """What a library says before it is initialised; the JSON texts are read."""
    (line,) = c_host("static", library)
    for name in ("fields", "extract_event_sources"):
        line[name] = None if line[name] is None else json.loads(line[name])
    return line


def golang(*arguments: object, env: Mapping[str, str] | None = None) -> list[dict]:
    """What the loader of the Go SDK says; it has to succeed."""
    return _checked(run(golang_path(), *arguments, env=env)).lines


def command(*arguments: object, env: Mapping[str, str] | None = None, cwd: Path | str | None = None) -> Ran:
    """``falco-plugin`` in a process of its own, whatever comes of it."""
    return run(Path(sysconfig.get_path("scripts"), "falco-plugin"), *arguments, env=env, cwd=cwd)


def native(*arguments: object, env: Mapping[str, str] | None = None) -> list[dict]:
    """What ``falco-plugin run --json`` says; it has to succeed."""
    return _checked(command("run", "--json", *arguments, env=env)).lines
