"""SIGINT and SIGTERM to the command alone, to its group as a terminal sends them, and to a plugin that hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sysconfig
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.hosts import environment
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

HUNG = "interrupted, but the plugin has not returned: wait for it to close its source, or interrupt again (Ctrl-C)"


@contextmanager
def running(folder: Path, source: str, params: str = "") -> Generator[subprocess.Popen[str]]:
    """``falco-plugin run`` as the first process of a group, with its text on stderr."""
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
    """Reads stderr up to a line with this text."""
    assert process.stderr is not None
    read = []
    for line in process.stderr:
        read.append(line)
        if text in line:
            return
    pytest.fail(f"{text!r} did not come: {''.join(read)}")


def to_command(process: subprocess.Popen[str], number: int) -> None:
    os.kill(process.pid, number)


def to_group(process: subprocess.Popen[str], number: int) -> None:
    os.killpg(process.pid, number)


def to_both(process: subprocess.Popen[str], number: int) -> None:
    """As ``timeout`` sends its one signal."""
    os.kill(process.pid, number)
    os.killpg(process.pid, number)


Send = Callable[[subprocess.Popen[str], int], None]
WAYS = [to_command, to_group, to_both]


def assert_nothing_is_left(folder: Path) -> None:
    """No process of the group runs any more, and the host and its library are removed."""
    assert [path.name for path in folder.iterdir() if path.name.startswith("falco-plugin-")] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("send", WAYS)
def test_first_signal_closes_source(tmp_path: Path, send: Send, number: int) -> None:
    with running(tmp_path, WAITS) as process:
        wait_for(process, "ready")
        send(process, number)
        _, errors = process.communicate(timeout=60)
        assert errors.splitlines()[-1].endswith(": interrupted")
        assert process.returncode == 0
    assert_nothing_is_left(tmp_path)


@pytest.mark.parametrize("send", [to_command, to_group])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"])
def test_second_signal_ends_blocked_open(tmp_path: Path, send: Send, number: int, status: int) -> None:
    with running(tmp_path, HANGS, "open") as process:
        wait_for(process, "in open")
        send(process, number)
        wait_for(process, HUNG)
        send(process, number)
        process.communicate(timeout=60)
        assert process.returncode == status
    assert_nothing_is_left(tmp_path)


@pytest.mark.parametrize("send", [to_command, to_group])
def test_two_quick_signals_end_blocked_open(tmp_path: Path, send: Send) -> None:
    with running(tmp_path, HANGS, "open") as process:
        wait_for(process, "in open")
        # However quickly they follow each other: what merges into one signal is sent again.
        while process.poll() is None:
            send(process, signal.SIGINT)
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        assert process.returncode == 130
    assert_nothing_is_left(tmp_path)


def test_first_signal_ends_blocked_producer(tmp_path: Path) -> None:
    with running(tmp_path, HANGS, "producer") as process:
        wait_for(process, "in open")
        to_command(process, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0
        assert errors.splitlines()[-1].endswith(": interrupted")
    assert_nothing_is_left(tmp_path)


IGNORES = """
    import ctypes
    import threading

    from falco_plugin import Plugin

    class Ignores(Plugin):
        name = "ignores"

        def open(self, params):
            # As a native library that takes the signals for itself: SIG_IGN is 1.
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
            to_command(process, signal.SIGINT)
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
        assert process.returncode == 130
    assert_nothing_is_left(tmp_path)


def test_signal_during_build_ends_command(tmp_path: Path) -> None:
    source = "import sys, time\nprint('importing', file=sys.stderr, flush=True)\ntime.sleep(600)\n"
    with running(tmp_path, source) as process:
        wait_for(process, "importing")
        to_command(process, signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode in (1, 130)
    assert_nothing_is_left(tmp_path)
