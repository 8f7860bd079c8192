"""Runs the native host, a program without Python that loads a plugin library as Falco does."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from falco_plugin._build import embedded
from falco_plugin._build.interruption import Interruption


def run(arguments: Sequence[str | os.PathLike[str]]) -> int:
    """Runs the host with the standard streams of this process.

    The first SIGINT or SIGTERM is passed on to the host, which closes the source and prints its totals. Ctrl-C in a
    terminal also reaches the host directly, and the host counts the two as one. After a second signal, the host is
    killed unless it ends within a second.

    Returns:
        The exit status of the host; negative if a signal killed it. After a second signal it is 128 plus the number of
        the first signal, as in a shell.
    """
    with embedded.executable("host") as host, Interruption() as interruption:
        return interruption.status(interruption.start([host, *arguments]).wait())


def output(arguments: Sequence[str | os.PathLike[str]]) -> tuple[int, str, str]:
    """Runs the host for a result, and returns its exit status, its stdout and its stderr."""
    with embedded.executable("host") as host:
        done = subprocess.run([host, *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace")
