"""One initialised plugin, as the native side holds it."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from types import FunctionType, MethodType
from typing import Any

from falco_plugin import _capabilities, _core, _failure, _log
from falco_plugin._field_failures import FieldFailures
from falco_plugin._loader import Modules
from falco_plugin.errors import PluginError
from falco_plugin.plugin import OpenParam, Plugin

SWITCH_INTERVAL = 0.0002
"""How long a thread that computes keeps the GIL, in seconds, where the interpreter is the SDK's own: the host's threads
wait for it that long at most, not Python's usual 5 ms."""

_TAKES_ANY_NUMBER = 0x04
"""In the flags of a code object: its function has ``*args``."""


class Runtime:
    """Loads the plugin's modules and its object, and makes the calls on it."""

    def __init__(
        self, archive: bytes, library: str, entry: str, config: str, log: _core.HostLog, core: str, ours: bool
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
        self._modules = Modules(archive, library)
        _log.attach(self._modules.package, log)
        try:
            self._plugin, capabilities = make(self._modules, entry)
            self._modules.plugin = self._plugin.name
            self._modules.event_source = getattr(self._plugin, "event_source", None) or ""
            _log.attach(self._plugin.name, log)
            self._plugin.config = configuration(config, capabilities.config)
            if callable(init := getattr(self._plugin, "init", None)):
                init()
            self._open: Any = getattr(self._plugin, "open", None)
            self._open_takes_context = takes_context(self._open)
            self._field_failures = FieldFailures({field.name: field.where for field in capabilities.fields})
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
        opened = self._open(params, context) if self._open_takes_context else self._open(params)
        is_instance = hasattr(opened, "next_batch") and not isinstance(opened, type)
        instance = opened if is_instance else self._iterate(opened, context)
        if not hasattr(instance, "events"):
            raise TypeError(
                f"open returned {type(instance).__name__}, which lacks events: call super().__init__() in its __init__"
            )
        events: object = instance.events
        if not isinstance(events, _core.EventBatch):
            raise TypeError(f"the instance's events must be an EventBatch, not {type(events).__name__}")
        return instance

    def _iterate(self, items: Any, context: _core.Context) -> Any:
        try:
            return _core.IterInstance(items, context=context)
        except TypeError as problem:
            raise TypeError(f"open returned no event source: {problem}{_INSTANCES}") from None

    def event_to_string(self, event: _core.Event) -> str:
        """The author's text of an event."""
        text = self._plugin.event_to_string(event)
        if not isinstance(text, str):
            raise TypeError(f"event_to_string must return str, not {type(text).__name__}")
        return text

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
        self._field_failures.tell(field, error)

    def destroy(self) -> None:
        """The last call: the plugin's modules are gone afterwards."""
        try:
            if callable(destroy := getattr(self._plugin, "destroy", None)):
                destroy()
        except BaseException as error:
            # Nobody can be told but the log, which is open until the call returns.
            _failure.report("destroy", error)
        finally:
            self._field_failures.tell_rest()
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


_INSTANCES = "; open returns a PullInstance, a PushInstance, a BaseInstance of your own, or an iterable of events"


def make(modules: Modules, entry: str) -> tuple[Any, _capabilities.Capabilities]:
    """The plugin object behind an entry point ``module:name``, checked, and what it can do."""
    module, _, name = entry.partition(":")
    factory = getattr(modules.load(module), name)
    plugin = factory()
    return plugin, _capabilities.check(plugin)


def configuration(text: str, declared: type | None) -> object:
    """What the plugin gets as its configuration."""
    if declared is None:
        return text
    from falco_plugin._config.text import parse

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
