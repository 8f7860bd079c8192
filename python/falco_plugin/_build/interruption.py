"""Passes signals on to a program that the command runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Self

_KILLED_AFTER = 1.0
"""Seconds after a second signal before the program is killed."""


class Interruption:
    """Passes SIGINT and SIGTERM of this process on to a program. A context manager for the main thread.

    The first signal is passed on. After a second one, the program is killed unless it ends within a second.
    """

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

    @property
    def is_interrupted(self) -> bool:
        """Whether a signal was received."""
        return bool(self._received)

    @property
    def first_signal(self) -> int:
        """The number of the first signal that was received."""
        return self._received[0]

    def start(
        self,
        arguments: Sequence[str | os.PathLike[str]],
        *,
        receiver: subprocess.Popen[bytes] | None = None,
        **options: Any,
    ) -> subprocess.Popen[bytes]:
        """Starts a program, and passes signals on to it from its start on, each once.

        Args:
            arguments: the program and its arguments.
            receiver: the program that gets the signals instead of the one that is started.
            options: further arguments of ``subprocess.Popen``, except those for text.
        """
        # Keep signals pending until the program exists.
        signal.pthread_sigmask(signal.SIG_BLOCK, self.SIGNALS)
        try:
            # The check warns of locks that other threads hold, because no thread of the child releases them. A command
            # has one thread while it starts a program.
            process = subprocess.Popen[bytes](arguments, preexec_fn=self._reset, **options)
            self.process = receiver or process
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self.SIGNALS)
        return process

    def _reset(self) -> None:
        """Restores the default handlers. Called in the child process before it executes the program."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self.SIGNALS)

    def status(self, status: int) -> int:
        """Returns the exit status of the command for an exit status of the program.

        It is 128 plus the number of the signal if the program was killed, or had no handler yet.
        """
        if self._received and (self._is_killed or -status in self.SIGNALS):
            return 128 + self._received[0]
        return status

    def _pass_on(self, number: int, _frame: object) -> None:
        self._received.append(number)
        if self.process is None:
            # The program does not exist yet.
            sys.exit(128 + number)
        if len(self._received) == 1:
            self.process.send_signal(number)
        elif len(self._received) == 2:
            # Do not kill it immediately: `timeout` sends its one signal twice, and the program may still end normally.
            signal.setitimer(signal.ITIMER_REAL, _KILLED_AFTER)

    def _kill(self, _number: int, _frame: object) -> None:
        if self.process is not None:
            self._is_killed = True
            self.process.kill()
