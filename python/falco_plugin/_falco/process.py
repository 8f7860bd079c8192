"""Runs Falco, and reads its alerts and its log while it runs."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from falco_plugin._build.interruption import Interruption
from falco_plugin._falco import configuration
from falco_plugin._falco.alert import Alert
from falco_plugin._falco.configuration import LoadedPlugin, RuleMatching
from falco_plugin._falco.errors import FalcoError
from falco_plugin._falco.find import Falco
from falco_plugin._falco.log import Log

if TYPE_CHECKING:
    from types import TracebackType

ENDS_WITHIN = 10.0
"""Seconds that Falco has to end after it was stopped. Then it is killed."""
_MAX_LINE = 64 << 20
"""Bytes of the longest line that is read as one."""
_STATISTICS = b"Events detected: "
"""The beginning of the statistics, which Falco prints after the last alert."""


@dataclass(frozen=True)
class Setup:
    """A Falco, and what it loads."""

    falco: Falco
    plugins: Sequence[LoadedPlugin]
    rules: Sequence[Path]
    folder: Path
    """A folder for the configuration. A container sees it."""
    source: str | None = None
    """The event source to open. Without it all are opened."""
    scap: str | None = None
    """A capture file whose events replace those of the source."""
    rule_matching: RuleMatching = "first"
    """Whether only the first rule that matches an event fires, or all of them."""
    variables: dict[str, str] = field(default_factory=dict)
    """Environment variables, in addition to those of this process."""

    def arguments(self, *options: str) -> list[str]:
        """Writes the configuration, and returns the command line of Falco."""
        file = self.folder / "falco.yaml"
        configuration.write(file, self.plugins, self.rules, rule_matching=self.rule_matching, scap=self.scap)
        self.folder.chmod(0o755)
        arguments = ["-c", str(file), *options]
        if self.source is not None and self.scap is None:
            arguments += ["--enable-source", self.source]
        mounts = [self.folder, *(plugin.library for plugin in self.plugins), *self.rules]
        mounts += [Path(self.scap)] if self.scap is not None else []
        for plugin in self.plugins:
            # A file that a source reads. Other params, such as URLs, are not paths that exist.
            if plugin.params.startswith("/") and "\0" not in plugin.params and os.path.exists(plugin.params):
                mounts.append(Path(plugin.params))
        return self.falco.arguments(arguments, mounts, self.variables)


class FalcoProcess:
    """A Falco that runs. The end of a ``with`` block kills it."""

    def __init__(
        self,
        setup: Setup,
        on_log: Callable[[str], None] = lambda line: None,
        interruption: Interruption | None = None,
    ) -> None:
        """Starts Falco.

        Args:
            setup: what to run.
            on_log: gets each line of the log that is not routine, on a thread.
            interruption: passes signals on to Falco.

        Raises:
            FalcoError: Falco cannot be started.
        """
        self.log = Log()
        self.falco = setup.falco
        """The Falco that runs."""
        self.is_stopped = False
        """Whether Falco was stopped."""
        self.is_killed = False
        """Whether Falco was killed, because it did not end."""
        self._on_log = on_log
        self._timers: list[threading.Timer] = []
        self._process = start(setup, setup.arguments(), interruption)
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        for timer in self._timers:
            timer.cancel()
        if self._process.poll() is None:
            # Let docker and podman remove their container.
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(1)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def alerts(self) -> Iterator[Alert]:
        """Yields each alert as it comes, until Falco ends. Other lines of the output go to the log."""
        stdout = self._process.stdout
        assert stdout is not None
        for line in iter(lambda: stdout.readline(_MAX_LINE), b""):
            if line.startswith(_STATISTICS):
                # Read the rest, because Falco must not wait for the pipe.
                stdout.read()
                return
            text = line.decode(errors="replace")
            if (alert := Alert.from_line(text)) is not None:
                yield alert
            else:
                self._add_to_log(text)

    def stop(self) -> None:
        """Ends Falco as Ctrl-C does. If it does not end in time, kills it."""
        if self._process.poll() is None:
            self.is_stopped = True
            self._process.send_signal(signal.SIGINT)
            self._after(ENDS_WITHIN, self._kill)

    def stop_after(self, seconds: float, then: Callable[[], None] = lambda: None) -> None:
        """Calls `then` and :meth:`stop` after some seconds, on a thread."""

        def stop() -> None:
            then()
            self.stop()

        self._after(seconds, stop)

    def wait(self) -> int:
        """Waits until Falco has ended. Returns its exit status, negative if a signal has killed it."""
        status = self._process.wait()
        # Wait with a limit: a process that a plugin started may keep the pipe open.
        self._reader.join(ENDS_WITHIN)
        return status

    def _after(self, seconds: float, function: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, function)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def _kill(self) -> None:
        self.is_killed = True
        self._process.kill()

    def _read_log(self) -> None:
        """Reads stderr. This is the function of the reader thread."""
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            for line in iter(lambda: stream.readline(_MAX_LINE), b""):
                self._add_to_log(line.decode(errors="replace"))

    def _add_to_log(self, line: str) -> None:
        if (shown := self.log.add(line)) is not None:
            self._on_log(shown)


def start(setup: Setup, arguments: Sequence[str], interruption: Interruption | None) -> subprocess.Popen[bytes]:
    """Starts Falco with pipes for its output.

    Raises:
        FalcoError: it cannot be started.
    """
    run: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen if interruption is None else interruption.start
    try:
        return run(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **setup.variables},
            # Ctrl-C reaches Falco only from here, and once: a second signal would end it without its totals.
            process_group=0,
        )
    except OSError as error:
        raise FalcoError(f"cannot run {arguments[0]}: {error.strerror}: name a Falco for this machine") from None


def describe_end(status: int, process: FalcoProcess) -> str | None:
    """Returns why Falco failed; ``None`` if it ended well."""
    if process.is_killed:
        return f"Falco did not end within {ENDS_WITHIN:g} s after it was stopped, and was killed"
    # Falco has no handler of the signal while it starts.
    if status == 0 or (process.is_stopped and status == -signal.SIGINT):
        return None
    return describe_status(status, process.falco)


def describe_status(status: int, falco: Falco) -> str:
    """Returns the message for an exit status of Falco that is not 0."""
    if falco.is_container and status in (125, 126, 127):
        program, image = falco.command
        return f"{Path(program).name} cannot run {image} (exit status {status})"
    if status < 0:
        number = -status
        names = {member.value: member.name for member in signal.Signals}
        return f"Falco crashed with {names.get(number, 'a signal')} (signal {number})"
    return f"Falco failed with exit status {status}"
