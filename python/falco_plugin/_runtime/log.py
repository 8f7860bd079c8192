"""Python's logging and warnings, on their way to the host's log."""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING

from falco_plugin import _core
from falco_plugin._runtime import code_owner as _owner
from falco_plugin._runtime import failures as _failure

if TYPE_CHECKING:
    from falco_plugin._core import HostLog
    from falco_plugin._runtime.loader import Modules

_PLUGIN = "falco_plugin_number"
"""Attribute of a record that names the plugin that the record belongs to."""


class Attached:
    """A plugin whose records go to the host until its log closes."""

    __slots__ = ("log", "names", "open_place", "package", "source")

    def __init__(self, package: str, log: HostLog) -> None:
        self.package = package
        """The private package of the plugin's modules."""
        self.names = [package]
        """The names of the plugin's loggers."""
        self.log = log
        self.source = ""
        """The event source that it makes, if any."""
        self.open_place = ""
        """Where its ``open`` is defined."""

    def owns(self, logger: str) -> str:
        """Returns the name of the plugin's logger that is this one or a parent of it; empty if there is none."""
        return next((name for name in self.names if logger == name or logger.startswith(f"{name}.")), "")


class HostHandler(logging.Handler):
    """Passes each record to the log of the plugin that the record belongs to.

    That is the plugin whose logger it is, else the one whose code the thread runs. If neither is known, it is the one
    that was initialised last.
    """

    def __init__(self) -> None:
        super().__init__()
        self.logs: list[Attached] = []
        self.to_stderr = False
        self.setFormatter(_Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if record.name == "asyncio" and record.exc_info and _failure.is_end_of_source(record.exc_info[1]):
                # The task of a producer ended because its source has ended, and nothing awaits the task.
                return
            plugin = self._choose(record)
            text = self.format(record)
            if plugin is None or plugin.owns(record.name) != record.name:
                text = f"{record.name}: {text}"
            text = _within_record(text)
            # File names that are not UTF-8 come as lone surrogates.
            text = text.encode("utf-8", "backslashreplace").decode()
            if plugin is not None:
                plugin.log.log(record.levelno, text)
            elif self.to_stderr:
                sys.stderr.write(f"{text}\n")
        except Exception:
            self.handleError(record)

    def _choose(self, record: logging.LogRecord) -> Attached | None:
        attached = [plugin for plugin in reversed(self.logs) if plugin.log.open]
        number = getattr(record, _PLUGIN, 0) or _core.current_plugin()
        named = [plugin for plugin in attached if plugin.owns(record.name)]
        # A plugin may be initialised several times.
        found = _with_number(named, number) or (named[0] if named else None) or _with_number(attached, number)
        if found is None and len(attached) > 1:
            found = _with_package(attached, _owner.of_caller())
        return found or (attached[0] if attached else None)


class _Formatter(logging.Formatter):
    """Shows an exception as failures of plugins are shown: the cause first, and the lines of user code."""

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            text += f"\n  {_failure.describe(error)}{_failure.trace(error)}"
        elif record.exc_text:
            text += f"\n{record.exc_text}"
        return f"{text}\n{record.stack_info}" if record.stack_info else text


def _within_record(text: str) -> str:
    """Indents the further lines of a message, and replaces characters that steer a terminal.

    A message may quote text from outside, such as the name of a file, which must not look like another record.
    """
    if text.isprintable():
        return text
    first, *more = ["".join(map(_shown, line)) for line in text.split("\n")]
    return "\n".join([first, *(line if line.startswith(" ") else f"  {line}" for line in more)])


def _shown(char: str) -> str:
    # Lone surrogates are file names that are not UTF-8, and are shown as such.
    is_shown = char.isprintable() or char == "\t" or "\ud800" <= char <= "\udfff"
    return char if is_shown else "\ufffd"


def _with_number(attached: list[Attached], number: int) -> Attached | None:
    return next((plugin for plugin in attached if plugin.log.number == number), None) if number else None


def _with_package(attached: list[Attached], owner: Modules | None) -> Attached | None:
    return next((plugin for plugin in attached if owner and plugin.package == owner.package), None)


_handler = HostHandler()
# One plugin may come while another goes.
_changes = threading.Lock()


def attach(package: str, log: HostLog) -> Attached:
    """Sends the records of a plugin, and those that belong to no other plugin, to the host until its log closes."""
    plugin = Attached(package, log)
    with _changes:
        _handler.logs = [attached for attached in _handler.logs if attached.log.open] + [plugin]
        root = logging.getLogger()
        if _handler not in root.handlers:
            root.addHandler(_handler)
    # The host decides which severities it shows.
    for own in (package, "falco_plugin"):
        logging.getLogger(own).setLevel(logging.DEBUG)
    return plugin


def name(plugin: Attached, logger: str, source: str, open_place: str) -> None:
    """Adds what is known of a plugin once it is made: its logger, its event source, and where its ``open`` is."""
    plugin.names.append(logger)
    plugin.source = source
    plugin.open_place = open_place
    logging.getLogger(logger).setLevel(logging.DEBUG)


def source_name() -> str:
    """The event source of the plugin whose code this thread runs; empty if it is not known."""
    plugin = _with_number(list(_handler.logs), _core.current_plugin())
    return plugin.source if plugin else ""


def place_of_open() -> str:
    """Where the ``open`` of the plugin whose code this thread runs is defined; empty if it is not known."""
    plugin = _with_number(list(_handler.logs), _core.current_plugin())
    return plugin.open_place if plugin else ""


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
        _handler.logs = [attached for attached in _handler.logs if attached.log is not log]
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
    thread = args.thread.name if args.thread else "?"
    # The thread has left the code that it ran.
    owner = _owner.of_error(error) or (_owner.of_class(type(args.thread)) if args.thread else None)
    plugin = _with_package(_handler.logs, owner)
    ends_source = getattr(error, "_falco_plugin_ends_source", False)
    logging.getLogger((owner and owner.plugin) or "falco_plugin").error(
        "thread %s%s died: %s%s",
        thread,
        f" of plugin {owner.plugin}" if owner and owner.plugin else "",
        _failure.describe(error),
        "" if ends_source else _failure.trace(error),
        extra={_PLUGIN: plugin.log.number} if plugin else None,
    )
