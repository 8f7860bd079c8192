"""The native host: a program with no Python of its own that loads a plugin library as Falco does."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from falco_plugin import _core

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def executable() -> Generator[Path]:
    """The host as a file, for as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="falco-plugin-") as folder:
        path = Path(folder, "falco-plugin-host")
        path.write_bytes(_core.host())
        path.chmod(0o700)
        yield path


def run(arguments: Sequence[str | os.PathLike[str]]) -> int:
    """Runs the host on this process's own streams, and returns its exit status; negative for a signal.

    Ctrl-C is the host's: it closes the source and prints its totals. SIGTERM is passed on to it, to the same end.
    """
    with executable() as host:
        # Before there is a host that it could be passed on to, SIGTERM is kept for it.
        stopped = threading.Event()
        previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        signal.signal(signal.SIGTERM, lambda _number, _frame: stopped.set())
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            process = subprocess.Popen(
                [host, *arguments],
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - one thread here
            )
            signal.signal(signal.SIGTERM, lambda _number, _frame: process.terminate())
            if stopped.is_set():
                process.terminate()
            return process.wait()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
