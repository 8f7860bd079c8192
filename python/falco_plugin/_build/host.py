"""Runs the native host, a program without Python that loads a plugin library as Falco does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from falco_plugin._build import embedded

if TYPE_CHECKING:
    from collections.abc import Generator

_KILLED_AFTER = 1.0
"""Seconds after a second signal before the host is killed."""


def run(arguments: Sequence[str | os.PathLike[str]]) -> int:
    """Runs the host with the standard streams of this process.

    The first SIGINT or SIGTERM is passed on to the host, which closes the source and prints its totals. Ctrl-C in a
    terminal also reaches the host directly, and the host counts the two as one. After a second signal, the host is
    killed unless it ends within a second.

    Returns:
        The exit status of the host; negative if a signal killed it. After a second signal it is 128 plus the number of
        the first signal, as in a shell.
    """
    with embedded.executable("host") as host, _Interruption() as interruption:
        with interruption.blocked():
            process = subprocess.Popen([host, *arguments], preexec_fn=interruption.reset)  # noqa: PLW1509 - one thread
            interruption.process = process
        return interruption.status(process.wait())


def output(arguments: Sequence[str | os.PathLike[str]]) -> tuple[int, str, str]:
    """Runs the host for a result, and returns its exit status, its stdout and its stderr."""
    with embedded.executable("host") as host:
        done = subprocess.run([host, *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace")


class _Interruption:
    """Passes SIGINT and SIGTERM of this process on to the host. A context manager for the main thread."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self._received: list[int] = []
        self._is_killed = False

    def __enter__(self) -> Self:
        handlers = {**dict.fromkeys(self.SIGNALS, self._pass_on), signal.SIGALRM: self._kill}
        self._previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._previous.items():
            # After an interruption the command only cleans up, which another signal must not interrupt.
            signal.signal(number, signal.SIG_IGN if self._received else handler)

    @contextmanager
    def blocked(self) -> Generator[None]:
        """Keeps signals pending until the host exists, so that each is passed on once."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self.SIGNALS)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self.SIGNALS)

    def reset(self) -> None:
        """Restores the default handlers. Called in the child process before it executes the host."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self.SIGNALS)

    def status(self, status: int) -> int:
        """Returns the exit status of the command for an exit status of the host.

        It is 128 plus the number of the signal if the host was killed, or had no handler yet.
        """
        if self._received and (self._is_killed or -status in self.SIGNALS):
            return 128 + self._received[0]
        return status

    def _pass_on(self, number: int, _frame: object) -> None:
        self._received.append(number)
        if self.process is None:
            # The host does not exist yet.
            sys.exit(128 + number)
        if len(self._received) == 1:
            self.process.send_signal(number)
        elif len(self._received) == 2:
            # Do not kill it immediately: `timeout` sends its one signal twice, and the host may still end normally.
            signal.setitimer(signal.ITIMER_REAL, _KILLED_AFTER)

    def _kill(self, _number: int, _frame: object) -> None:
        if self.process is not None:
            self._is_killed = True
            self.process.kill()
