"""Passes the records of Python's logging and warnings to the host's log."""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING

from falco_plugin import _core
from falco_plugin._runtime import attached, code_owner, failures

if TYPE_CHECKING:
    from falco_plugin._core import HostLog
    from falco_plugin._runtime.attached import AttachedPlugin
    from falco_plugin._runtime.loader import Modules

_PLUGIN = "falco_plugin_number"
"""Attribute of a record: the number of the plugin that the record belongs to."""


class HostHandler(logging.Handler):
    """Passes each record to the log of the plugin that the record belongs to.

    That is the plugin that has the record's logger. For another logger it is the plugin whose code the thread runs, and
    if that is not known, the plugin that was initialised last.
    """

    def __init__(self) -> None:
        super().__init__()
        self.uses_stderr = False
        """Whether records go to stderr while there is no plugin."""
        self.setFormatter(_Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if record.name == "asyncio" and record.exc_info and failures.is_end_of_source(record.exc_info[1]):
                # asyncio logs that nothing awaits a task that failed. This task ended because its source has ended.
                return
            plugin = self._choose(record)
            text = self.format(record)
            if plugin is None or plugin.owned_logger(record.name) != record.name:
                text = f"{record.name}: {text}"
            text = _as_one_record(text)
            # File names that are not UTF-8 contain lone surrogates.
            text = text.encode("utf-8", "backslashreplace").decode()
            if plugin is not None:
                plugin.log.log(record.levelno, text)
            elif self.uses_stderr:
                sys.stderr.write(f"{text}\n")
        except Exception:
            self.handleError(record)

    def _choose(self, record: logging.LogRecord) -> AttachedPlugin | None:
        latest_first = tuple(plugin for plugin in reversed(attached.plugins()) if plugin.log.open)
        number = getattr(record, _PLUGIN, 0) or _core.current_plugin()
        owners = tuple(plugin for plugin in latest_first if plugin.owned_logger(record.name))
        # Several plugins have one logger if a plugin was initialised several times.
        plugin = (
            attached.with_number(owners, number)
            or (owners[0] if owners else None)
            or attached.with_number(latest_first, number)
        )
        if plugin is None and len(latest_first) > 1:
            plugin = _with_modules(latest_first, code_owner.of_stack())
        return plugin or (latest_first[0] if latest_first else None)


class _Formatter(logging.Formatter):
    """Formats an exception as failures of plugins are formatted: the cause first, then the lines of user code."""

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            text += f"\n  {failures.describe(error)}{failures.format_trace(error)}"
        elif record.exc_text:
            text += f"\n{record.exc_text}"
        return f"{text}\n{record.stack_info}" if record.stack_info else text


def _as_one_record(text: str) -> str:
    """Indents all lines of a message but the first, and replaces characters that control a terminal.

    A message may contain a string from outside, such as the name of a file, which must not look like another record.
    """
    if text.isprintable():
        return text
    first, *others = ["".join(map(_printable, line)) for line in text.split("\n")]
    return "\n".join([first, *(line if line.startswith(" ") else f"  {line}" for line in others)])


def _printable(char: str) -> str:
    # A lone surrogate is a byte of a file name that is not UTF-8. It is escaped later.
    is_kept = char.isprintable() or char == "\t" or "\ud800" <= char <= "\udfff"
    return char if is_kept else "\ufffd"


def _with_modules(plugins: tuple[AttachedPlugin, ...], modules: Modules | None) -> AttachedPlugin | None:
    return next((plugin for plugin in plugins if modules and plugin.package == modules.package), None)


_handler = HostHandler()
# Two threads may attach and detach plugins at the same time.
_handler_changes = threading.Lock()


def attach(package: str, log: HostLog) -> AttachedPlugin:
    """Sends the records of a plugin, and those that belong to no other plugin, to the host until its log closes."""
    with _handler_changes:
        plugin = attached.attach(package, log)
        root = logging.getLogger()
        if _handler not in root.handlers:
            root.addHandler(_handler)
    # The host decides which severities it shows.
    for own in (package, "falco_plugin"):
        logging.getLogger(own).setLevel(logging.DEBUG)
    return plugin


def add_logger(plugin: AttachedPlugin, name: str) -> None:
    """Sends the records of a further logger to the plugin's log."""
    plugin.logger_names.append(name)
    logging.getLogger(name).setLevel(logging.DEBUG)


def source_name() -> str:
    """Returns the event source of the plugin whose code this thread runs; empty if it is not known."""
    plugin = attached.current()
    return plugin.event_source if plugin else ""


def remove_loggers(package: str) -> None:
    """Removes the loggers of a plugin's modules. Each init makes new ones, so nobody asks for these again."""
    loggers = logging.Logger.manager.loggerDict
    # Hold the lock of logging. If the dictionary changed while logging iterates over it, logging would keep the lock.
    with logging._lock:  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        for name in [name for name in loggers if name == package or name.startswith(f"{package}.")]:
            loggers.pop(name, None)


def detach(log: HostLog) -> None:
    """Reverses `attach`. In a process that Python itself runs, the last plugin also removes the handler."""
    with _handler_changes:
        attached.detach(log)
        if not attached.plugins() and not _handler.uses_stderr:
            logging.getLogger().removeHandler(_handler)


def take_over() -> None:
    """Sends all logging, warnings and unhandled exceptions to the host, and printed text to stderr.

    Called only if the SDK started the interpreter. stdout is not used, because a service of systemd has none.
    """
    sys.stdout = sys.stderr
    _handler.uses_stderr = True
    root = logging.getLogger()
    root.addHandler(_handler)
    # Debug records of libraries take time on every request, and may contain headers and tokens.
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    threading.excepthook = _log_unhandled


def _log_unhandled(args: threading.ExceptHookArgs) -> None:
    """Logs the exception that ended a thread, through the logger of the plugin whose code raised it."""
    error = args.exc_value or args.exc_type()
    if args.exc_type is SystemExit or failures.is_end_of_source(error):
        return
    thread = args.thread.name if args.thread else "?"
    # The stack of the thread is gone, so search the traceback, and then the class of the thread.
    owner = code_owner.of_error(error) or (code_owner.of_class(type(args.thread)) if args.thread else None)
    plugin = _with_modules(attached.plugins(), owner)
    ends_source = getattr(error, "_falco_plugin_ends_source", False)
    logging.getLogger((owner and owner.plugin) or "falco_plugin").error(
        "thread %s%s died: %s%s",
        thread,
        f" of plugin {owner.plugin}" if owner and owner.plugin else "",
        failures.describe(error),
        "" if ends_source else failures.format_trace(error),
        extra={_PLUGIN: plugin.log.number} if plugin else None,
    )
