"""The programs that load plugin libraries in their own process. See tests/hosts/README.md."""

from __future__ import annotations

import atexit
import base64
import fcntl
import functools
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from falco_plugin._build import embedded
from support.paths import HOSTS, REPOSITORY

BUILT = REPOSITORY / "target" / "hosts"
MISSING = "/nonexistent/falco-plugin-tests"


@dataclass(frozen=True)
class Output:
    """The exit status and the output of a program."""

    status: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines of stdout, each read as JSON."""
        return [json.loads(line) for line in self.stdout.splitlines()]

    def values(self, key: str) -> list[Any]:
        """The values of a key, from all lines that have it."""
        return [line[key] for line in self.lines if key in line]


def environment(**changes: str | None) -> dict[str, str]:
    """Returns this process's environment with changes; ``None`` removes a variable.

    Variables that control hosts and plugin libraries are removed. The check of file permissions is off by default,
    because a checkout need not belong to root.
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
) -> Output:
    """Runs a program in a clean environment. The program may fail."""
    done = subprocess.run(
        [str(part) for part in command],
        env=environment() if env is None else env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=timeout,
    )
    return Output(done.returncode, done.stdout.decode(), done.stderr.decode())


def _checked(ran: Output) -> Output:
    assert ran.status == 0, f"exit status {ran.status}\n{ran.stdout}\n{ran.stderr}"
    return ran


def _build(name: str, files: Iterable[Path], *command: object) -> Path:
    """Builds a program with a compiler, unless it is newer than its files. Only one test process builds at a time."""
    files = list(files)
    path = BUILT / name
    BUILT.mkdir(parents=True, exist_ok=True)
    with (BUILT / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists() or path.stat().st_mtime < max(file.stat().st_mtime for file in files):
            built = run(*command, "-o", path, env=os.environ, cwd=files[0].parent, timeout=280)
            assert built.status == 0, built.stderr
    return path


def _skip_in_special_build() -> None:
    """Skips the test under a memory checker: its libraries load only into a host that was built for it."""
    if "C_HOST" in os.environ:
        pytest.skip("this host is not built for the memory checker")


@functools.cache
def c_host_path() -> Path:
    """The C host: built here, unless ``C_HOST`` names one that was built for a memory checker."""
    if special := os.environ.get("C_HOST"):
        return Path(special)
    return build_c_program("host", [path for path in (HOSTS / "c").iterdir() if path.name != "malloc.c"])


def build_c_program(name: str, files: Iterable[Path], *flags: str) -> Path:
    """Builds a program from C files and their headers."""
    files = list(files)
    sources = [file for file in files if file.suffix == ".c"]
    strict = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-fvisibility=hidden"]
    return _build(name, files, "cc", *strict, *flags, *sources, "-ldl", "-lpthread")


@functools.cache
def go_program(name: str) -> Path:
    """Builds a program in Go from its folder in `HOSTS`. Skips the test if Go is missing, but not in CI."""
    if shutil.which("go") is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs Go for {name}")
        pytest.skip(f"{name} needs Go, which is not installed")
    return _build(name, (HOSTS / name).iterdir(), "go", "build")


def go_loader_path() -> Path:
    """The host around the loader of the Go SDK."""
    _skip_in_special_build()
    return go_program("golang")


@functools.cache
def native_path() -> Path:
    """The native host of the package, as an executable file that needs no Python."""
    folder = tempfile.mkdtemp(prefix="falco-plugin-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder, "falco-plugin-host")
    path.write_bytes(embedded.read("host"))
    path.chmod(0o700)
    return path


def run_c_host(*arguments: object, env: Mapping[str, str] | None = None, cwd: Path | str | None = None) -> Output:
    """Runs the C host. It may fail."""
    return run(c_host_path(), *arguments, env=env, cwd=cwd)


def c_host_lines(*arguments: object, env: Mapping[str, str] | None = None, cwd: Path | str | None = None) -> list[dict]:
    """The lines of the C host, which must succeed."""
    return _checked(run_c_host(*arguments, env=env, cwd=cwd)).lines


def run_cycle(library: Path, config: str = "", params: str = "", env: Mapping[str, str] | None = None) -> Output:
    """Runs one cycle of a library in the C host, which prints all events and log lines. The cycle may fail."""
    return run_c_host("log", library, config, params, env=env)


def log_messages(ran: Output, severity: int | None = None) -> list[str]:
    """The messages of the log lines, of one severity or of all."""
    return [log["text"] for log in ran.values("log") if severity in (None, log["severity"])]


def cycle_end(ran: Output) -> dict:
    """The line that reports how the cycle ended."""
    (line,) = [line for line in ran.lines if "cycle" in line]
    return line


def cycle_payloads(ran: Output) -> list[bytes]:
    """The payloads of the events of `run_cycle`."""
    return [base64.b64decode(event["base64"]) for event in ran.values("event")]


def init_error(library: Path, config: str = "", env: Mapping[str, str] | None = None) -> str:
    """The error message of an init that must fail, read as the real host reads it."""
    (line,) = c_host_lines("initfail", library, config, env=env)
    assert not line["state_is_null"], "without a state the host cannot ask for the message"
    return line["error"]


def static_answers(library: Path) -> dict[str, Any]:
    """Returns the answers of a library before init, with its JSON strings decoded."""
    (line,) = c_host_lines("static", library)
    for name in ("fields", "extract_event_sources"):
        line[name] = None if line[name] is None else json.loads(line[name])
    return line


def go_loader_lines(*arguments: object, env: Mapping[str, str] | None = None) -> list[dict]:
    """The lines of the Go loader, which must succeed."""
    return _checked(run(go_loader_path(), *arguments, env=env)).lines


def run_command(*arguments: object, env: Mapping[str, str] | None = None, cwd: Path | str | None = None) -> Output:
    """Runs ``falco-plugin``. It may fail."""
    if env is not None:
        return run(Path(sysconfig.get_path("scripts"), "falco-plugin"), *arguments, env=env, cwd=cwd)
    with tempfile.NamedTemporaryFile() as stdout, tempfile.NamedTemporaryFile() as stderr:
        request = {
            "arguments": [str(argument) for argument in arguments],
            "environment": environment(),
            "folder": str(cwd or Path.cwd()),
            "stdout": stdout.name,
            "stderr": stderr.name,
        }
        server = _command_server()
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        return Output(status, stdout.read().decode(), stderr.read().decode())


@functools.cache
def _command_server() -> subprocess.Popen[str]:
    """The process that runs commands. It ends with this process, which holds its stdin."""
    script = Path(__file__).with_name("command_server.py")
    command = [sys.executable, "-P", str(script)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def native_lines(*arguments: object, env: Mapping[str, str] | None = None) -> list[dict]:
    """The lines of ``falco-plugin run --json``, which must succeed."""
    return _checked(run_command("run", "--json", *arguments, env=env)).lines
