"""Adapts ``multiprocessing`` and ``subprocess``: there is no Python program that they could start."""

from __future__ import annotations

import functools
from typing import Any

_NO_PROGRAM = "a self-contained library has no Python program to start, so sys.executable is empty"


def adapt_context(context: Any) -> None:
    """Makes ``fork`` the default start method. From Python 3.14 on, the default is ``forkserver``."""
    context._default_context._default_context = context._concrete_contexts["fork"]


def adapt_util(util: Any) -> None:
    """Makes the start of a Python program fail with a clear error.

    The start methods ``spawn`` and ``forkserver`` and the resource tracker of shared memory use this function.
    """
    start = util.spawnv_passfds

    @functools.wraps(start)
    def start_or_explain(path: bytes | str, args: Any, passfds: Any) -> int:
        if not path:
            raise RuntimeError(f"{_NO_PROGRAM}: use the start method 'fork', and SharedMemory with track=False")
        pid: int = start(path, args, passfds)
        return pid

    util.spawnv_passfds = start_or_explain


def adapt_subprocess(subprocess: Any) -> None:
    """Makes the start of ``sys.executable`` fail with a clear error."""
    start = subprocess.Popen.__init__

    @functools.wraps(start)
    def start_or_explain(
        self: Any, args: Any, bufsize: int = -1, executable: Any = None, *rest: Any, **kwargs: Any
    ) -> None:
        program = args[0] if executable is None and isinstance(args, list | tuple) and args else executable
        if program in ("", b"") and not kwargs.get("shell"):
            raise RuntimeError(f"{_NO_PROGRAM}: start another program, or use multiprocessing with 'fork'")
        start(self, args, bufsize, executable, *rest, **kwargs)

    subprocess.Popen.__init__ = start_or_explain
