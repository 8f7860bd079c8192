"""Python's logging and warnings, on their way to the host's log."""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING

from falco_plugin import _failure, _owner

if TYPE_CHECKING:
    from falco_plugin._core import HostLog


class HostHandler(logging.Handler):
    """Passes every record to the host: to the log of the plugin whose logger it is, else to the newest."""

    def __init__(self) -> None:
        super().__init__()
        self.logs: list[tuple[str, HostLog]] = []
        self.to_stderr = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if record.name == "asyncio" and record.exc_info and _failure.is_end_of_source(record.exc_info[1]):
                # A task of a producer has ended with its source, and nobody awaits it.
                return
            name, log = self._choose(record.name)
            text = self.format(record)
            if record.name != name:
                text = f"{record.name}: {text}"
            # File names that are not UTF-8 come as lone surrogates.
            text = text.encode("utf-8", "backslashreplace").decode()
            if log is not None:
                log.log(record.levelno, text)
            elif self.to_stderr:
                sys.stderr.write(f"{text}\n")
        except Exception:
            self.handleError(record)

    def _choose(self, logger: str) -> tuple[str, HostLog | None]:
        newest: tuple[str, HostLog | None] = ("", None)
        for name, log in reversed(self.logs):
            if not log.open:
                continue
            if logger == name or logger.startswith(f"{name}."):
                return name, log
            if newest[1] is None:
                newest = ("", log)
        return newest


_handler = HostHandler()
# One plugin may come while another goes.
_changes = threading.Lock()


def attach(name: str, log: HostLog) -> None:
    """Sends the records of this logger, and of all that belong to no other plugin, to the host until its log closes."""
    with _changes:
        _handler.logs = [entry for entry in _handler.logs if entry[1].open] + [(name, log)]
        root = logging.getLogger()
        if _handler not in root.handlers:
            root.addHandler(_handler)
    # The host decides which severities it shows.
    for own in (name, "falco_plugin"):
        logging.getLogger(own).setLevel(logging.DEBUG)


def forget(package: str) -> None:
    """Drops the loggers of modules that are gone: each init has names of its own, which nobody asks for again."""
    loggers = logging.Logger.manager.loggerDict
    # Logging goes through all of them under its lock, and where it meets one that changes, keeps the lock for ever.
    with logging._lock:  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        for name in [name for name in loggers if name == package or name.startswith(f"{package}.")]:
            loggers.pop(name, None)


def detach(log: HostLog) -> None:
    """Ends what `attach` began. In a process of Python's own the handler goes with the last plugin."""
    with _changes:
        _handler.logs = [entry for entry in _handler.logs if entry[1] is not log]
        if not _handler.logs and not _handler.to_stderr:
            logging.getLogger().removeHandler(_handler)


def take_over() -> None:
    """Where the interpreter is the SDK's own: all of Python's logging, warnings and unhandled exceptions go to the
    host, and what is printed goes to stderr, because under systemd stdout leads nowhere.
    """
    sys.stdout = sys.stderr
    _handler.to_stderr = True
    root = logging.getLogger()
    root.addHandler(_handler)
    # Of libraries: what they say for debugging costs time on every request, and may show headers and tokens.
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    threading.excepthook = _unhandled


def _unhandled(args: threading.ExceptHookArgs) -> None:
    """Logs the exception that ended a thread, through the logger of the plugin whose code raised it."""
    error = args.exc_value or args.exc_type()
    if args.exc_type is SystemExit or _failure.is_end_of_source(error):
        return
    owner = _owner.of_error(error) or (_owner.of_class(type(args.thread)) if args.thread else None)
    name = (owner and owner.plugin) or ""
    logging.getLogger(name or "falco_plugin").error(
        "thread %s%s died: %s%s",
        args.thread.name if args.thread else "?",
        f" of plugin {name}" if name else "",
        _failure.describe(error),
        _failure.trace(error),
    )
