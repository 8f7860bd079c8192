"""One initialised plugin, which the native side holds and calls."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

from falco_plugin import _core
from falco_plugin._declare import capabilities, methods, registry
from falco_plugin._declare.capabilities import Capabilities
from falco_plugin._runtime import failures, gil, instances, log
from falco_plugin._runtime.loader import Modules
from falco_plugin._runtime.repeated_failures import RepeatedFailures
from falco_plugin.errors import PluginError
from falco_plugin.plugin import OpenParam, Plugin

if TYPE_CHECKING:
    from falco_plugin._declare.fields import Field
    from falco_plugin._declare.tables import PluginTable
    from falco_plugin._runtime.async_events import PluginAsyncEvents
    from falco_plugin._runtime.captures import Captures

SWITCH_INTERVAL = 0.0002
"""Seconds that a computing thread keeps the GIL while a thread of the host waits for it, instead of Python's 5 ms. Set
only if the SDK started the interpreter."""

STILL_RUNNING_AFTER = 5.0
"""Seconds after which a call of user code that has not returned is reported."""

EMPTY_TEXT = "<empty>"
"""The text of an event for which the plugin returns an empty string."""

_TEXT = "event_to_string"


class Runtime:
    """Loads the plugin's modules, makes the plugin object, and calls it."""

    _tables: Sequence[PluginTable] = ()
    """The tables of the plugin that were opened."""

    def __init__(
        self,
        archive: bytes,
        library: str,
        folder: str,
        entry: str,
        config: str,
        host_log: _core.HostLog,
        core: str,
        owns_interpreter: bool,
        tables: _core.HostTables,
        /,
    ) -> None:
        """Initialises the plugin.

        Args:
            archive: the archive with the plugin's modules.
            library: path of the plugin library.
            folder: path of the folder that contained the modules when the library was built; empty if the library is
                self-contained.
            entry: the entry point, ``module:name``.
            config: the ``init_config``.
            host_log: the log of the host.
            core: path of the extension module of the SDK that built the library; empty if the library is
                self-contained.
            owns_interpreter: whether the SDK started the interpreter.
            tables: the tables of the host.
        """
        if owns_interpreter:
            sys.setswitchinterval(SWITCH_INTERVAL)
            log.take_over()
            gil.report_switch()
            _watch_forks()
        self._log = host_log
        self._plugin: Any = None
        self._modules = Modules(archive, library, folder)
        attached = log.attach(self._modules.package, host_log)
        try:
            _check_core(core, library)
            with self._watched("init"):
                self._plugin, found = make_plugin(self._modules, entry)
            source = self._plugin.event_source if found.is_source else ""
            self._modules.plugin, self._modules.event_source = self._plugin.name, source
            attached.event_source = source
            attached.open_location = failures.definition_of(getattr(self._plugin, "open", None))
            log.add_logger(attached, self._plugin.name)
            with self._watched("init"):
                self._config_class = found.config
                self._plugin.config = read_config(config, found.config)
                self._open_tables(found.tables, tables)
                if callable(init := getattr(self._plugin, "init", None)):
                    init()
            self._open: Any = getattr(self._plugin, "open", None)
            self._open_takes_context = methods.takes_context(self._open, parameters=1)
            self._async_events, self._captures = _capturing(self._plugin, found)
            self._field_failures = RepeatedFailures(
                "field %s",
                "field %s is absent",
                "field %s was absent %d times",
                {field.name: field.location for field in found.fields},
            )
            self._text_failures = RepeatedFailures(
                "%s",
                "%s failed",
                "%s failed %d times",
                {_TEXT: failures.definition_of(getattr(self._plugin, _TEXT, None))},
            )
            self.fields = [
                (
                    field.name,
                    field.type.kind,
                    field.type.is_list,
                    field.takes_index,
                    field.takes_key,
                    field.reader or self._table_reader(field, found.fields),
                )
                for field in found.fields
            ]
            """The fields in the form that the native side reads."""
            self.metrics = [(metric.name, metric.value) for metric in found.metrics]
            """The names and values of the metrics that the plugin declares."""
            self._gauges: Any = None
            if computed := [metric for metric in found.metrics if metric.method is not None]:
                from falco_plugin._runtime.metrics import ComputedGauges

                with self._watched("init"):
                    self._gauges = ComputedGauges(computed, host_log.number)
            self._prepare_events(found)
        except BaseException:
            # The log stays attached, because the native side still has to log the reason.
            self._modules.unload()
            log.remove_loggers(self._modules.package)
            registry.remove_object(self._plugin)
            raise
        gil.report_silent_switch()
        method_of_class = getattr(type(self._plugin), _TEXT, None)
        self.defines_event_to_string = method_of_class is not None and method_of_class is not Plugin.event_to_string

    def _open_tables(self, tables: Sequence[PluginTable], host: _core.HostTables) -> None:
        if not tables:
            return
        # Only here, because most plugins have no tables.
        from falco_plugin._runtime.tables import open_all

        open_all(self._plugin, tables, host)
        self._tables = tables

    def _table_reader(self, field: Field, fields: Sequence[Field]) -> _core.TableReader:
        from falco_plugin._runtime.tables import reader_of

        return reader_of(self._plugin, field, fields)

    def _prepare_events(self, found: Capabilities) -> None:
        self.is_source = found.is_source
        """Whether the plugin is an event source."""
        self.plugin_id: int = self._plugin.id if found.is_source else 0
        """The plugin id; 0 without an event source."""
        self.sends_async_events = found.async_events is not None
        """Whether the plugin sends async events."""
        self.listens = found.listens
        """Whether the plugin listens to captures."""
        self.extract_event_types = found.extract_event_types
        """The names of the events that have the fields; empty for every type, ``None`` for events of plugins."""
        self.parse_methods = [
            (method.name, method.call, method.events, method.sources) for method in found.parse_methods
        ]
        """The methods that parse events, in the form that the native side reads."""
        self._parsing_failures = RepeatedFailures(
            "%s",
            "%s failed to parse an event",
            "%s failed to parse %d events",
            {method.name: method.location for method in found.parse_methods},
        )

    def open(self, params: str, context: _core.Context) -> object:
        """Opens the event source, and returns its instance."""
        with self._watched("open"):
            opened = self._open(params, context) if self._open_takes_context else self._open(params)
        return instances.as_instance(opened, context, self._open)

    @contextlib.contextmanager
    def _watched(self, doing: str) -> Generator[None]:
        """Reports a call of user code that does not return, with the line at which it waits."""
        thread, number = threading.get_ident(), self._log.number

        def report(seconds: float) -> None:
            _core.set_current_plugin(number)
            # Without the GIL, the frames of a thread that runs must not be read.
            frame = sys._current_frames().get(thread) if gil.is_enabled() else None
            failures.warn_of_wait(doing, seconds, frame)

        watch = _core.Watch(STILL_RUNNING_AFTER, report)
        try:
            yield
        finally:
            watch.stop()

    def event_to_string(self, event: _core.Event) -> str:
        """Returns the text that the plugin makes of an event."""
        text = self._plugin.event_to_string(event)
        if text is None:
            raise TypeError(f"{_TEXT} returned None: is a `return` missing?")
        if not isinstance(text, str):
            raise TypeError(f"{_TEXT} must return str, not {type(text).__name__}")
        # Falco would show the payload for an empty text.
        return text or EMPTY_TEXT

    def event_to_string_failed(self, error: BaseException) -> str:
        """Counts the failure, and returns a placeholder. Without a text Falco would show the payload."""
        self._text_failures.add(_TEXT, error)
        return f"<{_TEXT} of {self._plugin.name} failed: {type(error).__name__}>"

    def list_open_params(self) -> list[tuple[str, str, str]]:
        """Returns the plugin's suggestions as tuples of value, description and separator."""
        suggested = self._plugin.list_open_params()
        if isinstance(suggested, str | OpenParam) or not hasattr(suggested, "__iter__"):
            raise TypeError(f"list_open_params must return a list of OpenParam or str, not {type(suggested).__name__}")
        params = []
        for param in suggested:
            if isinstance(param, str):
                param = OpenParam(param)
            if not isinstance(param, OpenParam):
                raise TypeError(f"list_open_params must return OpenParam or str, not {type(param).__name__}")
            if not all(isinstance(text, str) for text in param):
                raise TypeError(f"list_open_params must return an OpenParam of strings, not {param!r:.100}")
            params.append((param.value, param.desc, param.separator))
        return params

    def start_async_events(self, sink: _core.AsyncSink) -> None:
        """Starts the methods that send async events."""
        if self._async_events:
            self._async_events.start(sink)

    def stop_async_events(self) -> None:
        """Stops these methods, and waits for their threads."""
        if self._async_events:
            self._async_events.stop()

    def dump_state(self, sink: _core.AsyncSink) -> None:
        """Sends the events of the plugin's ``dump_state``."""
        if self._async_events:
            self._async_events.dump_state(sink)

    def capture_open(self) -> list[tuple[float, Callable[[], bool]]]:
        """Begins a capture. Returns the intervals and the functions to call until it ends."""
        return self._captures.open() if self._captures else []

    def capture_close(self) -> None:
        """Ends the capture."""
        if self._captures:
            self._captures.close()

    def field_failed(self, field: str, error: BaseException) -> None:
        """Counts a failure of a field's method: it raised, or returned a value that its field cannot have."""
        self._field_failures.add(field, error)

    def set_config(self, text: str) -> None:
        """Changes the configuration. If that fails, the plugin keeps the previous one."""
        config, previous = read_config(text, self._config_class), self._plugin.config
        self._plugin.config = config
        try:
            self._plugin.set_config(config)
        except BaseException:
            self._plugin.config = previous
            raise

    def parsing_failed(self, method: str, error: BaseException) -> None:
        """Counts a failure of a method that parses events."""
        self._parsing_failures.add(method, error)

    def destroy(self) -> None:
        """Calls the plugin's ``destroy``, and unloads its modules. No other method may be called afterwards."""
        try:
            if self._gauges is not None:
                self._gauges.stop()
            if callable(destroy := getattr(self._plugin, "destroy", None)):
                destroy()
        except BaseException as error:
            # The plugin API reports no error of destroy. The log is open until this call returns.
            failures.report("destroy", error)
        finally:
            self._field_failures.log_rest()
            self._text_failures.log_rest()
            self._parsing_failures.log_rest()
            if self._captures:
                self._captures.log_failures()
            registry.remove_object(self._plugin)
            for table in self._tables:
                # A module may hold the object, whose tables would hold the classes of their entries and so the module.
                vars(self._plugin).pop(table.attribute, None)
            self._modules.unload()
            self._plugin = self._open = self._async_events = self._captures = None
            self.fields, self.parse_methods = [], []
            self.metrics = []
            self._gauges = None
            log.detach(self._log)
            log.remove_loggers(self._modules.package)
            for stream in (sys.stdout, sys.stderr):
                # A host may have closed the descriptors.
                with contextlib.suppress(AttributeError, OSError, ValueError):
                    stream.flush()


def _check_core(core: str, library: str) -> None:
    """Raises ``PluginError`` if another SDK built a library than the one that the process runs."""
    if core and not os.path.samefile(core, _core.__file__):
        raise PluginError(
            f"this process already runs the SDK of {_core.__file__}, and {library} was built with that of {core}: "
            "build all plugins of one Falco with one environment"
        )


def _capturing(plugin: Any, found: Capabilities) -> tuple[PluginAsyncEvents | None, Captures | None]:
    """Returns what runs the plugin's code in captures. Only a plugin that has such code needs these modules."""
    async_events = captures = None
    if found.async_events is not None:
        from falco_plugin._runtime.async_events import PluginAsyncEvents

        async_events = PluginAsyncEvents(plugin, found.async_events)
    if found.listens:
        from falco_plugin._runtime.captures import Captures

        captures = Captures(plugin)
    return async_events, captures


@functools.cache
def _watch_forks() -> None:
    os.register_at_fork(before=_core.before_fork, after_in_child=_core.after_fork_in_child)


def make_plugin(modules: Modules, entry: str) -> tuple[Any, Capabilities]:
    """Makes the plugin of an entry point ``module:name``, checks it, and returns it with its capabilities."""
    module, _, name = entry.partition(":")
    factory = getattr(modules.load(module), name)
    try:
        plugin = factory()
    except TypeError as error:
        traceback = error.__traceback__
        if traceback is None or traceback.tb_next is not None:
            raise
        # The traceback has no frame of the factory, so its parameters do not fit.
        explained = TypeError(f"{error}: the SDK passes no arguments, so read settings from self.config in init")
        raise failures.add_location(
            explained, getattr(factory, "__init__", None) if isinstance(factory, type) else factory
        ) from None
    return plugin, capabilities.check(plugin)


def read_config(text: str, config_class: type | None) -> object:
    """Returns the configuration for the plugin: an object of its configuration class, or the text."""
    if config_class is None:
        return text
    from falco_plugin._declare.config.parser import parse

    return parse(text, config_class)
