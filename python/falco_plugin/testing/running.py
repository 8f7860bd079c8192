"""A plugin in the native host, and what the host says of it in its own JSON."""

from __future__ import annotations

import base64
import inspect
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

from falco_plugin._build import host as _host
from falco_plugin._build import target as _target
from falco_plugin.errors import PluginError
from falco_plugin.plugin import Plugin
from falco_plugin.testing.extracted import Column, ExtractedEvent, Values

_STOPS_WITHIN = 10.0

TestedPlugin: TypeAlias = str | os.PathLike[str] | type[Plugin] | Callable[[], object]
"""``path.py[:Name]``, a folder, a library, a plugin class, or a factory function."""

Config: TypeAlias = str | Mapping[str, Any] | None
"""The ``init_config``: text, or a mapping, which arrives as JSON text as one of ``falco.yaml`` does."""


Extractor: TypeAlias = TestedPlugin | tuple[TestedPlugin, Config]
"""A further plugin, alone or with its ``init_config``."""


class RunError(PluginError):
    """The source failed, or neither ended nor gave enough events in time. Its text has the plugin's log."""


@dataclass(frozen=True)
class LogLine:
    """A line of the plugin's log."""

    severity: str
    """``fatal``, ``critical``, ``error``, ``warning``, ``notice``, ``info``, ``debug`` or ``trace``."""
    text: str
    plugin: str = field(default="", compare=False)
    """The name of the plugin that logged it; empty for a line of the host's own."""


@dataclass(frozen=True)
class Run:
    """What the host saw of a source."""

    events: list[ExtractedEvent] = field(repr=False)
    """All events, in order."""
    texts: list[str] = field(repr=False)
    """The text of each event, as ``event_to_string`` gives it."""
    log: list[LogLine]
    """The plugin's log."""
    result: str
    """``eof``, ``limit``, ``failure``, ``interrupted`` (it was stopped), ``timeout`` or ``killed``."""
    error: str | None
    """The source's error, or why there is no result."""

    def __str__(self) -> str:
        count = len(self.events)
        text = f"{self.result} after {count} {'event' if count == 1 else 'events'}"
        if self.error is not None:
            text += f": {self.error}"
        if self.log:
            text += "\n\nThe plugin's log:\n" + "".join(f"[{line.severity}] {line.text}\n" for line in self.log)
        return text


def collect(
    plugin: TestedPlugin,
    params: str = "",
    *,
    config: Config = None,
    fields: Sequence[str] | None = None,
    extractors: Sequence[Extractor] = (),
    limit: int | None = None,
    timeout: float = 5,
) -> list[ExtractedEvent]:
    """Runs a plugin's event source to its end, or to a number of events.

    Args:
        plugin: ``path.py[:Name]``, a folder, a library, a plugin class, or a factory function.
        params: the open params.
        config: the ``init_config``: text, or a mapping that becomes JSON text.
        fields: these fields alone are extracted from each event, written as in rules:
            ``["ka.verb", "jevt.value[/a]"]``; without it, all fields that need no argument.
        extractors: further plugins, whose fields are extracted too: each a plugin, or a pair of a plugin and its
            config.
        limit: stop after this many events; without it the source must end.
        timeout: seconds that this may take.

    Returns:
        The events.

    Raises:
        RunError: the source failed, or the timeout ran out; with the plugin's log, and the traceback in it.
        PluginError: a plugin cannot be built.
        TypeError: ``fields`` or ``extractors`` is no list.
    """
    ran = run(plugin, params, config=config, fields=fields, extractors=extractors, limit=limit, timeout=timeout)
    if ran.result not in ("eof", "limit"):
        raise RunError(str(ran))
    if limit is not None and len(ran.events) < limit:
        raise RunError(f"the source ended before {limit} events: {ran}")
    return ran.events


def run(
    plugin: TestedPlugin,
    params: str = "",
    *,
    config: Config = None,
    fields: Sequence[str] | None = None,
    extractors: Sequence[Extractor] = (),
    limit: int | None = None,
    timeout: float = 5,
) -> Run:
    """Runs a plugin's event source as :func:`collect` does, and tells all that came of it.

    A source that fails is a result, no exception.

    Args:
        plugin: ``path.py[:Name]``, a folder, a library, a plugin class, or a factory function.
        params: the open params.
        config: the ``init_config``: text, or a mapping that becomes JSON text.
        fields: these fields alone are extracted from each event, written as in rules:
            ``["ka.verb", "jevt.value[/a]"]``; without it, all fields that need no argument.
        extractors: further plugins, whose fields are extracted too: each a plugin, or a pair of a plugin and its
            config.
        limit: stop after this many events.
        timeout: seconds that this may take; the result is then ``timeout``.

    Raises:
        PluginError: a plugin cannot be built.
        TypeError: ``fields`` or ``extractors`` is no list.
        RunError: the source was not closed within ten seconds after the timeout.
    """
    with RunningPlugin(plugin, params, config=config, fields=fields, extractors=extractors, limit=limit) as running:
        return running.wait(timeout)


class RunningPlugin:
    """A plugin in a host that goes on until it is stopped. Leaving its ``with`` block kills it.

    Args:
        plugin: ``path.py[:Name]``, a folder, a library, a plugin class, or a factory function.
        params: the open params.
        config: the ``init_config``: text, or a mapping that becomes JSON text.
        fields: these fields alone are extracted from each event, written as in rules:
            ``["ka.verb", "jevt.value[/a]"]``; without it, all fields that need no argument.
        extractors: further plugins, whose fields are extracted too: each a plugin, or a pair of a plugin and its
            config.
        limit: stop after this many events.

    Raises:
        PluginError: a plugin cannot be built.
        TypeError: ``fields`` or ``extractors`` is no list.
    """

    def __init__(
        self,
        plugin: TestedPlugin,
        params: str = "",
        *,
        config: Config = None,
        fields: Sequence[str] | None = None,
        extractors: Sequence[Extractor] = (),
        limit: int | None = None,
    ) -> None:
        if isinstance(fields, str):
            raise TypeError("fields must be a list of names, not str")
        pairs = _pairs(extractors)
        self._columns: list[Column] = []
        self._events: list[ExtractedEvent] = []
        self._texts: list[str] = []
        self._log: list[LogLine] = []
        self._end: dict[str, Any] | None = None
        self._killed = False
        self._errors = ""
        self._read = 0
        self._changed = threading.Condition()
        self._resources = ExitStack()
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="falco-plugin-")))
            host = stack.enter_context(_host.executable())
            options = ["--config", _config_text(config), "--params", params]
            if limit is not None:
                options += ["--limit", str(limit)]
            options += ["--all-fields"] if fields is None else [f"--fields={name}" for name in fields]
            options.append(f"--target={_target_of(plugin)}")
            for extractor, extractor_config in pairs:
                options += [f"--with={_library(extractor, folder)}", f"--with-config={_config_text(extractor_config)}"]
                options.append(f"--with-target={_target_of(extractor)}")
            self._stderr = stack.enter_context(tempfile.TemporaryFile())
            self._process = subprocess.Popen(
                [host, "run", _library(plugin, folder), "--json", *options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                # A checkout need not belong to root, which a Falco that runs as root asks for.
                env={**os.environ, "FALCO_PLUGIN_ALLOW_WRITABLE": "1"},
            )
            self._resources = stack.pop_all()
        self._reader = threading.Thread(target=self._take, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """The host's process id."""
        return self._process.pid

    @property
    def log(self) -> list[LogLine]:
        """The plugin's log so far."""
        with self._changed:
            return list(self._log)

    def next_event(self, timeout: float = 5) -> ExtractedEvent:
        """Waits for the next event.

        Args:
            timeout: seconds.

        Raises:
            RunError: none came in time, or the source ended.
        """
        self._until(lambda: len(self._events) > self._read, timeout, f"event {self._read + 1}")
        self._read += 1
        return self._events[self._read - 1]

    def wait_for_log(self, text: str, timeout: float = 5) -> LogLine:
        """Waits for a log line that contains the text; the first one counts, whenever it came.

        Args:
            text: what the line contains.
            timeout: seconds.

        Raises:
            RunError: none came in time, or the source ended.
        """

        def found() -> LogLine | None:
            return next((line for line in self._log if text in line.text), None)

        self._until(found, timeout, f"a log line with {text!r}")
        line = found()
        assert line is not None
        return line

    def wait(self, timeout: float = 5) -> Run:
        """Waits until the source ends; where it does not, stops it, and the result is ``timeout``.

        Args:
            timeout: seconds.
        """
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            ran = self.stop()
            error = f"the source did not end within {timeout:g} s: give a limit, or a longer timeout"
            return Run(ran.events, ran.texts, ran.log, "timeout", error)
        return self._result()

    def stop(self) -> Run:
        """Ends the source as Falco does (SIGINT), with a clean close.

        Raises:
            RunError: the source was not closed within ten seconds.
        """
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            raise RunError(f"the source is not closed after {_STOPS_WITHIN:g} s: {self.kill()}") from None
        return self._result()

    def kill(self) -> Run:
        """Ends the host as a crash does (SIGKILL), where it still runs."""
        if self._process.poll() is None:
            self._killed = True
            self._process.kill()
            self._process.wait()
        return self._result()

    def _result(self) -> Run:
        # A process that the plugin has left behind may still hold the pipe.
        self._reader.join(_STOPS_WITHIN)
        self._resources.close()
        result, error = self._ending()
        return Run(self._events, self._texts, self._log, result, error)

    def _ending(self) -> tuple[str, str | None]:
        if self._end is not None:
            return self._end["result"], self._end["error"]
        if self._killed:
            return "killed", None
        status = self._process.returncode
        if status == -signal.SIGINT:
            # It was stopped before it was ready to be.
            return "interrupted", None
        if status < 0:
            return "failure", f"the host crashed with {signal.Signals(-status).name}: {self._errors}"
        _, refused, reason = self._errors.rpartition("falco-plugin-host: ")
        if not refused:
            return "failure", f"the host ended with status {status}: {self._errors}"
        return "failure", reason.replace("--with", "extractors=[…]")

    def _until(self, ready: Callable[[], object], timeout: float, what: str) -> None:
        deadline = time.monotonic() + timeout
        with self._changed:
            while not ready():
                left = deadline - time.monotonic()
                if left > 0 and self._reader.is_alive():
                    # A reader that ends does not say so.
                    self._changed.wait(min(left, 0.1))
                elif not ready():
                    result, error = ("running", f"after {timeout:g} s") if left <= 0 else self._ended()
                    raise RunError(f"{what} did not come: {Run(self._events, self._texts, self._log, result, error)}")

    def _ended(self) -> tuple[str, str | None]:
        self._process.wait()
        return self._ending()

    def _take(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                # The host was killed in the middle of a line.
                break
            with self._changed:
                self._keep(said)
                self._changed.notify_all()
        self._process.stdout.close()
        # The host's last words come after its last line.
        self._process.wait()
        self._stderr.seek(0)
        self._errors = self._stderr.read().decode(errors="replace").strip()

    def _keep(self, said: dict[str, Any]) -> None:
        if said["kind"] == "event":
            data = said["data"].encode() if "data" in said else base64.b64decode(said["data_base64"])
            told = said.get("fields", {})
            values = Values({column.asked: column.value(told[column.asked]) for column in self._columns})
            self._events.append(
                ExtractedEvent(
                    data, fields=values, number=said["number"], timestamp=said["timestamp"], source=said["source"]
                )
            )
            self._texts.append(said["text"])
        elif said["kind"] == "fields":
            self._columns = [Column.of(told) for told in said["fields"]]
        elif said["kind"] == "log":
            self._log.append(LogLine(said["severity"], said["text"], said.get("plugin", "")))
        else:
            self._end = said


def _config_text(config: Config) -> str:
    if config is None or isinstance(config, str):
        return config or ""
    return json.dumps(dict(config))


def _pairs(extractors: Sequence[Extractor]) -> list[tuple[TestedPlugin, Config]]:
    if isinstance(extractors, type) or not isinstance(extractors, Iterable) or isinstance(extractors, str):
        name = extractors.__name__ if isinstance(extractors, type) else type(extractors).__name__
        raise TypeError(f"extractors must be a list of plugins, not {name}")
    pairs: list[tuple[TestedPlugin, Config]] = []
    for extractor in extractors:
        plugin, config = extractor if isinstance(extractor, tuple) else (extractor, None)
        if not (isinstance(plugin, str | os.PathLike) or callable(plugin)):
            raise TypeError(f"extractors must be plugins or pairs of plugin and config, not {type(plugin).__name__}")
        pairs.append((plugin, config))
    return pairs


def _library(plugin: TestedPlugin, folder: Path) -> Path:
    target = _target_of(plugin)
    if _target.is_library(target):
        return Path(target)
    try:
        # Two plugins may have one name.
        return _target.load(target).write_into(Path(tempfile.mkdtemp(dir=folder)))
    except _target.TargetError as problem:
        raise PluginError(str(problem)) from problem.__cause__


def _target_of(plugin: TestedPlugin) -> str:
    if isinstance(plugin, str | os.PathLike):
        return os.fspath(plugin)
    name = plugin.__qualname__ if isinstance(plugin, type) else getattr(plugin, "__qualname__", "")
    file = inspect.getsourcefile(plugin) if name else None
    if file is None or "." in name:
        raise PluginError(
            f"{plugin!r} cannot be built: give a class or function at the top level of a module, or a file's path"
        )
    return f"{file}:{name}"
