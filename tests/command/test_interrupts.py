"""SIGINT and SIGTERM sent to the command, to its process group and to a plugin that hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sysconfig
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.hosts import environment, run_command
from support.libraries import write_sources

HANGS = """
    import threading

    from falco_plugin import Plugin

    class Hangs(Plugin):
        name = "hangs"

        def open(self, params):
            self.log.warning("in open")
            if params == "open":
                threading.Event().wait()
            return self.events()

        def events(self):
            yield b"event"
            threading.Event().wait()
"""

WAITS = """
    from falco_plugin import Plugin

    class Waits(Plugin):
        name = "waits"

        def open(self, params, context):
            yield b"event"
            self.log.warning("ready")
            context.wait()
"""

HANG_MESSAGE = (
    "interrupted, but the plugin has not returned: wait for it to close its source, or interrupt again (Ctrl-C)"
)


@contextmanager
def running(folder: Path, source: str, params: str = "") -> Generator[subprocess.Popen[str]]:
    """Runs ``falco-plugin run`` as the leader of a process group, with a pipe for stderr."""
    write_sources(folder, {"plugin.py": source})
    script = Path(sysconfig.get_path("scripts"), "falco-plugin")
    process = subprocess.Popen(
        [script, "run", folder / "plugin.py", "--params", params],
        env=environment(TMPDIR=str(folder)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    """Reads stderr up to a line that contains the string."""
    assert process.stderr is not None
    read = []
    for line in process.stderr:
        read.append(line)
        if text in line:
            return
    pytest.fail(f"{text!r} is not on stderr: {''.join(read)}")


def send_to_command(process: subprocess.Popen[str], number: int) -> None:
    os.kill(process.pid, number)


def send_to_group(process: subprocess.Popen[str], number: int) -> None:
    os.killpg(process.pid, number)


def send_to_both(process: subprocess.Popen[str], number: int) -> None:
    """Sends the signal as the program ``timeout`` does."""
    os.kill(process.pid, number)
    os.killpg(process.pid, number)


Send = Callable[[subprocess.Popen[str], int], None]
RECIPIENTS = [send_to_command, send_to_group, send_to_both]


def assert_no_files_are_left(folder: Path) -> None:
    """Asserts that the temporary folders of the host and its library are removed."""
    assert [path.name for path in folder.iterdir() if path.name.startswith("falco-plugin-")] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("send", RECIPIENTS)
def test_first_signal_closes_source(tmp_path: Path, send: Send, number: int) -> None:
    with running(tmp_path, WAITS) as process:
        wait_for(process, "ready")
        send(process, number)
        _, errors = process.communicate(timeout=60)
        assert errors.splitlines()[-1].endswith(": interrupted")
        assert process.returncode == 0
    assert_no_files_are_left(tmp_path)


@pytest.mark.parametrize("send", [send_to_command, send_to_group])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"])
def test_second_signal_ends_blocked_open(tmp_path: Path, send: Send, number: int, status: int) -> None:
    with running(tmp_path, HANGS, "open") as process:
        wait_for(process, "in open")
        send(process, number)
        wait_for(process, HANG_MESSAGE)
        send(process, number)
        process.communicate(timeout=60)
        assert process.returncode == status
    assert_no_files_are_left(tmp_path)


@pytest.mark.parametrize("send", [send_to_command, send_to_group])
def test_two_quick_signals_end_blocked_open(tmp_path: Path, send: Send) -> None:
    with running(tmp_path, HANGS, "open") as process:
        wait_for(process, "in open")
        # Two quick signals may merge into one, so send the signal again until the process ends.
        while process.poll() is None:
            send(process, signal.SIGINT)
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        assert process.returncode == 130
    assert_no_files_are_left(tmp_path)


def test_first_signal_ends_blocked_producer(tmp_path: Path) -> None:
    with running(tmp_path, HANGS, "producer") as process:
        wait_for(process, "in open")
        send_to_command(process, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0
        assert errors.splitlines()[-1].endswith(": interrupted")
    assert_no_files_are_left(tmp_path)


IGNORES = """
    import ctypes
    import threading

    from falco_plugin import Plugin

    class Ignores(Plugin):
        name = "ignores"

        def open(self, params):
            # Ignore SIGINT as a native library may do it. The value of SIG_IGN is 1.
            signal = ctypes.CDLL(None).signal
            signal.argtypes, signal.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
            signal(2, 1)
            self.log.warning("ignoring")
            threading.Event().wait()
"""


def test_second_signal_ends_plugin_that_ignores_first(tmp_path: Path) -> None:
    with running(tmp_path, IGNORES) as process:
        wait_for(process, "ignoring")
        while process.poll() is None:
            send_to_command(process, signal.SIGINT)
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
        assert process.returncode == 130
    assert_no_files_are_left(tmp_path)


def test_signal_during_build_ends_command(tmp_path: Path) -> None:
    source = "import sys, time\nprint('importing', file=sys.stderr, flush=True)\ntime.sleep(600)\n"
    with running(tmp_path, source) as process:
        wait_for(process, "importing")
        send_to_command(process, signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode in (1, 130)
    assert_no_files_are_left(tmp_path)


def test_termination_of_build_runs_cleanup(tmp_path: Path) -> None:
    # The same exception removes the temporary files of a build.
    source = """
        import os, signal, threading
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            threading.Event().wait()
        finally:
            print("cleaned up")
    """
    write_sources(tmp_path, {"plugin.py": source})
    ran = run_command("build", "plugin.py", cwd=tmp_path)
    assert (ran.status, ran.stdout) == (143, "cleaned up\n")
