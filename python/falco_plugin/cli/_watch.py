"""Runs a plugin again whenever a file of it changes.

The files are polled: they are few, polling needs no further package, and it also works in containers and on network
file systems, which do not report changes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from falco_plugin._build import embedded, pack, temporary
from falco_plugin._build import target as targets
from falco_plugin._build.errors import TargetError
from falco_plugin._build.interruption import Interruption

_INTERVAL = 0.2
"""Seconds between two checks of the files. A change must have lasted for one before it counts."""
_CLOSES_WITHIN = 5.0
"""Seconds that a source may take to close before its host is killed."""

State = Mapping[Path, tuple[int, int, int]]
"""The time, the size and the inode of each file."""


@dataclass
class Watch:
    """Runs plugins again when their files change."""

    names: Sequence[str]
    """The targets of the plugins."""
    further: Callable[[], Iterable[Path]]
    """Returns the further files to watch."""
    arguments: Callable[[Sequence[Path]], Sequence[str | Path]]
    """Returns the arguments of the host for the library of each target.

    Raises `SystemExit` after it has reported an error in a file that it reads."""

    def run(self) -> int:
        """Runs until it is interrupted, and returns the exit status."""
        with temporary.folder() as folder, embedded.executable("host") as host, Interruption() as interruption:
            self._folder, self._host, self._interruption = folder, host, interruption
            self._process: subprocess.Popen[bytes] | None = None
            self._good: Sequence[str | Path] | None = None
            try:
                self._run()
            except SystemExit:
                # A signal that there was no process to pass on to.
                if not interruption.is_interrupted:
                    raise
            status = 0 if self._process is None else self._process.wait()
            return interruption.status(status)

    def _run(self) -> None:
        seen = self._state()
        self._restart([])
        while not self._interruption.is_interrupted:
            self._wait()
            state = self._state()
            if state == seen or self._interruption.is_interrupted:
                continue
            while (settled := self._pause_and_look()) != state:
                state = settled
            changed = sorted(path for path in {*seen, *state} if seen.get(path) != state.get(path))
            seen = state
            self._restart(changed)

    def _wait(self) -> None:
        """Waits for the next look at the files. Reports once how the run ended."""
        time.sleep(_INTERVAL)
        if self._process is not None and self._process.poll() is not None and not self._interruption.is_interrupted:
            self._process = None
            self._interruption.process = None
            _say("waiting for a change (Ctrl-C ends)")

    def _pause_and_look(self) -> State:
        time.sleep(_INTERVAL)
        return self._state()

    def _state(self) -> State:
        """Returns the state of all files. A file that does not exist has none."""
        state = {}
        for path in self._files():
            try:
                status = path.stat()
            except OSError:
                continue
            state[path] = (status.st_mtime_ns, status.st_size, status.st_ino)
        return state

    def _files(self) -> Iterable[Path]:
        for name in self.names:
            path = Path(name if targets.is_library(name) else name.partition(":")[0])
            try:
                yield from [path] if targets.is_library(name) else pack.files_of(path).values()
            except TargetError:
                # The build reports it.
                yield path
        yield from self.further()

    def _restart(self, changed: Sequence[Path]) -> None:
        """Builds the plugins and runs them instead of those that run. If that fails, the last good ones run on."""
        arguments = self._build()
        if self._interruption.is_interrupted:
            return
        if arguments is None:
            runs = self._process is not None
            _say("the previous version still runs" if runs else "waiting for a change (Ctrl-C ends)")
            return
        self._stop()
        if self._interruption.is_interrupted:
            return
        if changed:
            _clear_screen()
            rest = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            _say(f"{changed[0].name}{rest} changed: running again")
        if self._start(arguments):
            self._good = arguments
        elif self._good is not None and not self._interruption.is_interrupted:
            _say("the previous version runs again")
            self._start(self._good)

    def _build(self) -> Sequence[str | Path] | None:
        """Builds each target, and returns the arguments of the host. Returns `None` on an error, which is reported.

        A build is a new process, because it imports the code of the plugin.
        """
        libraries = []
        for name in self.names:
            if targets.is_library(name):
                libraries.append(Path(name))
                continue
            path = Path(tempfile.mkdtemp(dir=self._folder)) / "plugin.so"
            command: list[str | Path] = [
                sys.executable,
                "-m",
                "falco_plugin",
                "build",
                "--linked",
                "-o",
                path,
                "--",
                name,
            ]
            process = self._interruption.start(
                command,
                # The plugins that run, if there are any.
                receiver=self._process,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            _, errors = process.communicate()
            self._interruption.process = self._process
            if process.returncode != 0:
                if not self._interruption.is_interrupted:
                    sys.stderr.write(errors.decode(errors="replace"))
                return None
            libraries.append(path)
        try:
            return self.arguments(libraries)
        except SystemExit:
            return None

    def _start(self, arguments: Sequence[str | Path]) -> bool:
        """Runs the plugins. Returns whether its source was opened, or the run has ended without an error."""
        ready = Path(tempfile.mkdtemp(dir=self._folder)) / "ready"
        self._process = self._interruption.start([self._host, *arguments, "--ready", ready])
        while not ready.exists():
            try:
                self._process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
            break
        return ready.exists() or self._process.returncode == 0

    def _stop(self) -> None:
        """Closes the source that runs."""
        process = self._process
        if process is None:
            return
        process.send_signal(Interruption.SIGNALS[0])
        try:
            process.wait(_CLOSES_WITHIN)
        except subprocess.TimeoutExpired:
            _say(f"the source was not closed within {_CLOSES_WITHIN:g} s: it is killed")
            process.kill()
            process.wait()
        self._process = None
        self._interruption.process = None


def _say(message: str) -> None:
    click.echo(f"falco-plugin: {time.strftime('%H:%M:%S')} {message}", err=True)


def _clear_screen() -> None:
    """Clears the terminal, so that it shows only the last run."""
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        sys.stdout.write("\x1b[2J\x1b[H")
        sys.stdout.flush()
