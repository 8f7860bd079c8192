"""Runs a plugin in the native host, and reads the host's JSON."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from falco_plugin._build import embedded, temporary
from falco_plugin._falco.written_events import WrittenEvent
from falco_plugin.errors import PluginError
from falco_plugin.testing.extracted import ExtractedEvent
from falco_plugin.testing.host_options import host_options, plugin_options
from falco_plugin.testing.plugins import (
    Config,
    FurtherPlugin,
    TestedPlugin,
    config_text,
    library_of,
)
from falco_plugin.testing.received import Received, metrics_of
from falco_plugin.testing.results import LogLine, ReceivedAsyncEvent, Run, RunError

_STOPS_WITHIN = 10.0
"""Seconds that the host has to close the source."""


class RunningPlugin:
    """A plugin in a host that runs until the source ends or is stopped. The end of a ``with`` block kills the host.

    Args:
        plugin: ``path.py[:Name]``, a folder, a library, a plugin class, or a factory function.
        params: the open params.
        config: the ``init_config``, as a string or as a mapping, which is passed as JSON.
        fields: the fields to extract from each event, written as in rules, such as
            ``["ka.verb", "jevt.value[/a]"]``. The default is all fields that need no argument.
        plugins: further plugins, which parse the events or whose fields are extracted. Each is a plugin, or a pair
            of a plugin and its ``init_config``.
        set_config: the configuration that ``set_config`` of the plugin gets after init.
        tables: the names of state tables whose entries the result has, such as ``["threads"]``.
        table_contents: entries of the host's table ``threads``: ``{"threads": [{"tid": 1, "comm": "bash"}]}``.
            Sub-tables are lists of entries, too.
        scap: a capture file whose events, such as system calls, the plugins get. The plugin's source is not opened.
        replay: a file of events that ``falco-plugin run --record`` or ``--json`` has written. The plugins get them with
            their times, and the plugin's source is not opened.
        events: events that the plugins get instead of those of the plugin's source. Each is a mapping or list, which
            becomes JSON, a ``str``, ``bytes``, an :class:`Event`, or a pair of one and its time in nanoseconds or as a
            ``datetime``.
        limit: stop after this many events, async events included.
        dump_state: at the end, ask the plugin for its state, as Falco does for a capture file. ``Run.state`` has it.

    Raises:
        PluginError: a plugin cannot be built.
        TypeError: ``fields`` or ``plugins`` is not a list, or ``events`` has something that is not an event.
    """

    def __init__(
        self,
        plugin: TestedPlugin,
        params: str = "",
        *,
        config: Config = None,
        fields: Sequence[str] | None = None,
        plugins: Sequence[FurtherPlugin] = (),
        set_config: Config = None,
        tables: Sequence[str] = (),
        table_contents: Mapping[str, Any] | None = None,
        scap: str | os.PathLike[str] | None = None,
        replay: str | os.PathLike[str] | None = None,
        events: Iterable[WrittenEvent] | None = None,
        limit: int | None = None,
        dump_state: bool = False,
    ) -> None:
        self._received = Received()
        self._commands = 0
        self._killed = False
        self._errors = ""
        self._read = 0
        self._async_read = 0
        self._changed = threading.Condition()
        self._resources = ExitStack()
        with ExitStack() as stack:
            folder = stack.enter_context(temporary.folder())
            host = stack.enter_context(embedded.executable("host"))
            options = host_options(
                folder,
                params,
                config=config,
                fields=fields,
                set_config=set_config,
                tables=tables,
                table_contents=table_contents,
                scap=scap,
                replay=replay,
                events=events,
                limit=limit,
                dump_state=dump_state,
            )
            options += plugin_options(plugin, plugins, folder)
            pipe = folder / "control"
            os.mkfifo(pipe)
            # Opened for reading, too: so this does not wait for the host, and a write after its end does not fail.
            self._control = stack.enter_context(open(os.open(pipe, os.O_RDWR), "w", encoding="utf-8"))
            options.append(f"--control={pipe}")
            self._stderr = stack.enter_context(tempfile.TemporaryFile())
            self._process = subprocess.Popen(
                [host, "run", library_of(plugin, folder), "--json", *options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                # As root, the library would otherwise refuse an environment that other users can write to.
                env={**os.environ, "FALCO_PLUGIN_ALLOW_WRITABLE": "1"},
            )
            self._resources = stack.pop_all()
        self._reader = threading.Thread(target=self._read_output, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """The process id of the host."""
        return self._process.pid

    @property
    def log(self) -> list[LogLine]:
        """The log lines of the plugin so far."""
        with self._changed:
            return list(self._received.log)

    def next_event(self, timeout: float = 5) -> ExtractedEvent:
        """Waits for the next event, and returns it.

        Args:
            timeout: seconds to wait.

        Raises:
            RunError: no event came in time, or the source ended.
        """
        self._wait_until(lambda: len(self._received.events) > self._read, timeout, f"event {self._read + 1}")
        self._read += 1
        return self._received.events[self._read - 1]

    def next_async_event(self, timeout: float = 5) -> ReceivedAsyncEvent:
        """Waits for the next async event, and returns it.

        Args:
            timeout: seconds to wait.

        Raises:
            RunError: no async event came in time, or the source ended.
        """
        awaited = f"async event {self._async_read + 1}"
        self._wait_until(lambda: len(self._received.async_events) > self._async_read, timeout, awaited)
        self._async_read += 1
        return self._received.async_events[self._async_read - 1]

    def wait_for_log(self, text: str, timeout: float = 5) -> LogLine:
        """Waits for a log line, and returns it. A line that was logged before the call counts, too.

        Args:
            text: a part of the line.
            timeout: seconds to wait.

        Raises:
            RunError: no such line came in time, or the source ended.
        """

        def found() -> LogLine | None:
            return next((line for line in self._received.log if text in line.text), None)

        self._wait_until(found, timeout, f"a log line with {text!r}")
        line = found()
        assert line is not None
        return line

    def metrics(self, timeout: float = 5) -> Mapping[str, float]:
        """Returns the metrics of all plugins now, as :attr:`Run.metrics` has those at the end.

        The host reads them between two calls of the source, so a source that blocks delays them.

        Args:
            timeout: seconds to wait.

        Raises:
            RunError: the source ended, or blocked until the timeout.
        """
        return metrics_of(self._command({"command": "metrics"}, timeout, "the metrics"))

    def set_config(self, config: Config, timeout: float = 5) -> None:
        """Gives the plugin a new configuration, and waits until its ``set_config`` has returned.

        The host calls it between two calls of the source, so a source that blocks delays it.

        Args:
            config: the configuration, as a string or as a mapping, which is passed as JSON.
            timeout: seconds to wait.

        Raises:
            PluginError: the configuration does not match the plugin's class of it, or ``set_config`` raised. The plugin
                keeps the previous one.
            RunError: the source ended, or blocked until the timeout.
        """
        command = {"command": "set_config", "config": config_text(config)}
        self._command(command, timeout, "the end of set_config")

    def _command(self, command: dict[str, Any], timeout: float, awaited: str) -> dict[str, Any]:
        """Sends a command to the host, and returns the reply. Raises ``PluginError`` if the command failed."""
        with self._changed:
            self._commands += 1
            number = self._commands
        # It is closed once the result of the run was read.
        if not self._control.closed:
            self._control.write(json.dumps({"id": number, **command}) + "\n")
            self._control.flush()
        self._wait_until(lambda: number in self._received.replies, timeout, awaited)
        reply = self._received.replies.pop(number)
        if reply["error"] is not None:
            raise PluginError(reply["error"])
        return reply

    def wait(self, timeout: float = 5) -> Run:
        """Waits until the source ends. If it does not end in time, stops it; the result is then ``timeout``.

        Args:
            timeout: seconds to wait.

        Raises:
            RunError: the source was not closed within ten seconds after the timeout.
        """
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            ran = self.stop()
            error = f"the source did not end within {timeout:g} s: set a limit, or a longer timeout"
            return replace(ran, result="timeout", error=error)
        return self._result()

    def stop(self) -> Run:
        """Sends SIGINT to the host, which closes the source as Falco does.

        Raises:
            RunError: the source was not closed within ten seconds.
        """
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            raise RunError(f"the source was not closed within {_STOPS_WITHIN:g} s: {self.kill()}") from None
        return self._result()

    def kill(self) -> Run:
        """Sends SIGKILL to the host if it still runs, which ends it as a crash would."""
        if self._process.poll() is None:
            self._killed = True
            self._process.kill()
            self._process.wait()
        return self._result()

    def _result(self) -> Run:
        """Returns the result of a host that has ended, and removes its files."""
        # Wait with a limit: a process that the plugin started may keep the pipe open.
        self._reader.join(_STOPS_WITHIN)
        self._resources.close()
        result, error = self._ending()
        return self._received.as_run(result, error)

    def _ending(self) -> tuple[str, str | None]:
        """Returns how a host has ended that no longer runs: the result and the error."""
        if self._received.end is not None:
            return self._received.end["result"], self._received.end["error"]
        if self._killed:
            return "killed", None
        status = self._process.returncode
        if status == -signal.SIGINT:
            # The host was stopped before it had a signal handler.
            return "interrupted", None
        if status < 0:
            return "failure", f"the host crashed with {signal.Signals(-status).name}: {self._errors}"
        _, prefix, reason = self._errors.rpartition("falco-plugin-host: ")
        if not prefix:
            return "failure", f"the host ended with status {status}: {self._errors}"
        return "failure", reason.replace("--with", "plugins=[…]").replace("--events", "events=[…]")

    def _wait_until(self, ready: Callable[[], object], timeout: float, awaited: str) -> None:
        """Waits until `ready` is true. `awaited` names in the error what did not come."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not ready():
                remaining = deadline - time.monotonic()
                if remaining > 0 and self._reader.is_alive():
                    # Wake regularly, because the end of the reader does not notify.
                    self._changed.wait(min(remaining, 0.1))
                elif not ready():
                    result, error = ("running", f"after {timeout:g} s") if remaining <= 0 else self._wait_for_ending()
                    raise RunError(f"{awaited} did not come: {self._received.as_run(result, error)}")

    def _wait_for_ending(self) -> tuple[str, str | None]:
        self._process.wait()
        return self._ending()

    def _read_output(self) -> None:
        """Reads the output of the host. This is the function of the reader thread."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                entry = json.loads(line)
            except ValueError:
                # The host was killed while it wrote the line.
                break
            with self._changed:
                self._received.keep(entry)
                self._changed.notify_all()
        self._process.stdout.close()
        # The host may write to stderr after its last line on stdout.
        self._process.wait()
        self._stderr.seek(0)
        self._errors = self._stderr.read().decode(errors="replace").strip()
