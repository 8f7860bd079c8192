"""Python's logging and warnings, on their way to the host's log."""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from falco_plugin._core import HostLog


class HostHandler(logging.Handler):
    """Passes every record to the host: to the log of the plugin whose logger it is, else to the newest."""

    def __init__(self) -> None:
        super().__init__()
        self.logs: list[tuple[tuple[str, ...], HostLog]] = []

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
            names, log = self._choose(record.name)
            if record.name not in names:
                text = f"{record.name}: {text}"
            if log is None:
                sys.stderr.write(f"{text}\n")
            else:
                log.log(record.levelno, text)
        except Exception:
            self.handleError(record)

    def _choose(self, name: str) -> tuple[tuple[str, ...], HostLog | None]:
        for names, log in reversed(self.logs):
            if log.open and any(name == known or name.startswith(f"{known}.") for known in names):
                return names, log
        for names, log in reversed(self.logs):
            if log.open:
                return names, log
        return (), None


_handler = HostHandler()


def attach(names: tuple[str, ...], log: HostLog) -> None:
    """Sends the records of these loggers, and of all that belong to no other plugin, to the host."""
    _handler.logs.append((names, log))
    root = logging.getLogger()
    if _handler not in root.handlers:
        root.addHandler(_handler)
    # The host decides which severities it shows.
    for name in (*names, "falco_plugin"):
        logging.getLogger(name).setLevel(logging.DEBUG)


def detach(log: HostLog, *, ours: bool) -> None:
    """Ends what `attach` began. Where the interpreter is the SDK's own the handler stays, and writes to stderr."""
    _handler.logs = [entry for entry in _handler.logs if entry[1] is not log]
    if not _handler.logs and not ours:
        logging.getLogger().removeHandler(_handler)


def take_over() -> None:
    """Where the interpreter is the SDK's own: all of Python's logging, warnings and unhandled exceptions go to the
    host, and what is printed goes to stderr, because under systemd stdout leads nowhere."""
    sys.stdout = sys.stderr
    root = logging.getLogger()
    root.addHandler(_handler)
    root.setLevel(logging.DEBUG)
    logging.captureWarnings(True)
    threading.excepthook = _unhandled


def _unhandled(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit:
        return
    name = args.thread.name if args.thread else "?"
    value = args.exc_value or args.exc_type()
    logging.getLogger("falco_plugin").error(
        "thread %s died: %s", name, value, exc_info=(args.exc_type, value, args.exc_traceback)
    )
