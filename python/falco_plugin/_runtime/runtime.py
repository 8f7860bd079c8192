"""One initialised plugin, as the native side holds it."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
from collections.abc import Generator
from types import FunctionType, MethodType
from typing import Any

from falco_plugin import _core
from falco_plugin._declare import capabilities as _capabilities
from falco_plugin._runtime import failures as _failure
from falco_plugin._runtime import instances as _opened
from falco_plugin._runtime import log as _log
from falco_plugin._runtime.loader import Modules
from falco_plugin._runtime.repeated_failures import RepeatedFailures
from falco_plugin.errors import PluginError
from falco_plugin.plugin import OpenParam, Plugin

SWITCH_INTERVAL = 0.0002
"""How long a thread that computes keeps the GIL, in seconds, where the interpreter is the SDK's own: the host's threads
wait for it that long at most, not Python's usual 5 ms."""

STILL_RUNNING_AFTER = 5.0
"""Seconds after which a call of user code that has not returned is reported."""

EMPTY_TEXT = "<empty>"
"""The text of an event for which the plugin returns an empty string."""

_TEXT = "event_to_string"
_TAKES_ANY_NUMBER = 0x04
"""In the flags of a code object: its function has ``*args``."""


class Runtime:
    """Loads the plugin's modules and its object, and makes the calls on it."""

    def __init__(
        self,
        archive: bytes,
        library: str,
        folder: str,
        entry: str,
        config: str,
        log: _core.HostLog,
        core: str,
        ours: bool,
    ) -> None:
        if not os.path.samefile(core, _core.__file__):
            raise PluginError(
                f"this process already runs the SDK of {_core.__file__}, and {library} was built with that of {core}: "
                "build all plugins of one Falco with one environment"
            )
        if ours:
            sys.setswitchinterval(SWITCH_INTERVAL)
            _log.take_over()
            _watch_forks()
        self._log = log
        self._plugin: Any = None
        self._modules = Modules(archive, library, folder)
        attached = _log.attach(self._modules.package, log)
        try:
            with self._watched("init"):
                self._plugin, capabilities = make(self._modules, entry)
            source = self._plugin.event_source if capabilities.is_source else ""
            self._modules.plugin, self._modules.event_source = self._plugin.name, source
            opens = _failure.definition_of(getattr(self._plugin, "open", None))
            _log.name(attached, self._plugin.name, source, opens)
            with self._watched("init"):
                self._plugin.config = configuration(config, capabilities.config)
                if callable(init := getattr(self._plugin, "init", None)):
                    init()
            self._open: Any = getattr(self._plugin, "open", None)
            self._open_takes_context = takes_context(self._open)
            self._field_failures = RepeatedFailures(
                "field %s",
                "field %s is absent",
                "field %s was absent %d times",
                {field.name: field.where for field in capabilities.fields},
            )
            method = _failure.definition_of(getattr(self._plugin, _TEXT, None))
            self._text_failures = RepeatedFailures("%s", "%s failed", "%s failed %d times", {_TEXT: method})
            self.fields = [
                (field.name, field.type.kind, field.type.is_list, field.takes_index, field.takes_key, field.reader)
                for field in capabilities.fields
            ]
            """As the core takes them."""
        except BaseException:
            # The log stays: the reason is still to be said.
            self._modules.unload()
            _log.forget(self._modules.package)
            _capabilities.unregister(self._plugin)
            raise
        own = getattr(type(self._plugin), "event_to_string", None)
        self.defines_event_to_string = own is not None and own is not Plugin.event_to_string

    def open(self, params: str, context: _core.Context) -> object:
        """Opens the event source and checks what came back."""
        with self._watched("open"):
            opened = self._open(params, context) if self._open_takes_context else self._open(params)
        return _opened.instance(opened, context, self._open)

    @contextlib.contextmanager
    def _watched(self, doing: str) -> Generator[None]:
        """Reports a call of user code that does not return, with the line at which it waits."""
        thread, number = threading.get_ident(), self._log.number

        def report(seconds: float) -> None:
            _core.set_current_plugin(number)
            _failure.warn_of_wait(doing, seconds, sys._current_frames().get(thread))

        watch = _core.Watch(STILL_RUNNING_AFTER, report)
        try:
            yield
        finally:
            watch.stop()

    def event_to_string(self, event: _core.Event) -> str:
        """The text of an event that the plugin makes."""
        text = self._plugin.event_to_string(event)
        if text is None:
            raise TypeError(f"{_TEXT} returned None: is a `return` missing?")
        if not isinstance(text, str):
            raise TypeError(f"{_TEXT} must return str, not {type(text).__name__}")
        # Falco would show the payload for an empty text.
        return text or EMPTY_TEXT

    def event_to_string_failed(self, error: BaseException) -> str:
        """Counts the failure, and returns a placeholder for the text. Without a text Falco would show the payload."""
        self._text_failures.add(_TEXT, error)
        return f"<{_TEXT} of {self._plugin.name} failed: {type(error).__name__}>"

    def list_open_params(self) -> list[tuple[str, str, str]]:
        """The author's suggestions as plain values."""
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
                raise TypeError(f"an OpenParam is made of str, not as {param!r:.100}")
            params.append((param.value, param.desc, param.separator))
        return params

    def field_failed(self, field: str, error: BaseException) -> None:
        """A field's method raised, or returned what its field cannot be."""
        self._field_failures.add(field, error)

    def destroy(self) -> None:
        """The last call: the plugin's modules are gone afterwards."""
        try:
            if callable(destroy := getattr(self._plugin, "destroy", None)):
                destroy()
        except BaseException as error:
            # Nobody can be told but the log, which is open until the call returns.
            _failure.report("destroy", error)
        finally:
            self._field_failures.log_rest()
            self._text_failures.log_rest()
            _capabilities.unregister(self._plugin)
            self._modules.unload()
            self._plugin = self._open = None
            self.fields = []
            _log.detach(self._log)
            _log.forget(self._modules.package)
            for stream in (sys.stdout, sys.stderr):
                # A host may have closed the descriptors.
                with contextlib.suppress(AttributeError, OSError, ValueError):
                    stream.flush()


@functools.cache
def _watch_forks() -> None:
    os.register_at_fork(before=_core.before_fork, after_in_child=_core.after_fork_in_child)


def make(modules: Modules, entry: str) -> tuple[Any, _capabilities.Capabilities]:
    """The plugin object behind an entry point ``module:name``, checked, and what it can do."""
    module, _, name = entry.partition(":")
    factory = getattr(modules.load(module), name)
    try:
        plugin = factory()
    except TypeError as error:
        traceback = error.__traceback__
        if traceback is None or traceback.tb_next is not None:
            raise
        # It was not entered.
        problem = TypeError(f"{error}: a plugin is made without arguments, so read settings from self.config in init")
        raise _failure.at(
            problem, getattr(factory, "__init__", None) if isinstance(factory, type) else factory
        ) from None
    return plugin, _capabilities.check(plugin)


def configuration(text: str, declared: type | None) -> object:
    """What the plugin gets as its configuration."""
    if declared is None:
        return text
    from falco_plugin._declare.config.parser import parse

    return parse(text, declared)


def takes_context(function: Any) -> bool:
    """Whether ``open`` has a second parameter."""
    if isinstance(function, MethodType) and isinstance(function.__func__, FunctionType) and not vars(function.__func__):
        # As nearly all are: a method with nothing around it. Here self counts.
        code = function.__func__.__code__
        return code.co_argcount > 2 or bool(code.co_flags & _TAKES_ANY_NUMBER)
    import inspect

    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    kinds = [parameter.kind for parameter in parameters]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(kind in positional for kind in kinds) > 1 or inspect.Parameter.VAR_POSITIONAL in kinds
