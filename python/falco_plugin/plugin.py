"""The base class of plugins."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from falco_plugin._core import Event
from falco_plugin._declare import registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from falco_plugin.source import Context, OpenResult

    # The forms of `open` in a subclass. mypy compares them with the bound method, pyright with the function.
    _Open: TypeAlias = (
        Callable[[str], OpenResult]
        | Callable[[str, Context], OpenResult]
        | Callable[[Any, str], OpenResult]
        | Callable[[Any, str, Context], OpenResult]
    )

__all__ = ["OpenParam", "Plugin"]


class OpenParam(NamedTuple):
    """A suggestion for the open params of a plugin (``sdk.OpenParam`` of the Go SDK)."""

    value: str
    """The open params."""
    desc: str = ""
    """The meaning of the open params."""
    separator: str = ""
    """The separator of several such values, if the open params can have several."""


class _DefaultEventSource:
    """The default of ``event_source``: the plugin's name, with ``_`` for ``-``."""

    def __get__(self, plugin: object, cls: type) -> str:
        name = getattr(cls if plugin is None else plugin, "name", None)
        return name.replace("-", "_") if isinstance(name, str) else ""


class Plugin:
    r"""Base class of Falco plugins (``plugins.Plugin`` of the Go SDK).

    A subclass that defines ``open`` is an event source. A subclass that declares fields, by
    :func:`falco_plugin.field` or :func:`falco_plugin.json_field`, extracts them from events.

    ``open(self, params)`` or ``open(self, params, context)`` returns a :class:`falco_plugin.source.Instance` or events:
    an iterable, an async iterable, or a callable that takes a context and returns one of the two. From events the SDK
    makes a :class:`falco_plugin.source.IterInstance`. The context is the parent of the instance's context, and is
    cancelled when the source is closed.

    A subclass with methods of :func:`falco_plugin.async_events` sends async events. ``dump_state(self)`` yields each
    :class:`falco_plugin.AsyncEvent` from which its state can be made again, when Falco begins to write a capture file.
    ``capture_open(self, capture)`` and ``capture_close(self, capture)`` are called when a
    :class:`falco_plugin.Capture` begins and ends.

    Example:
        ```python
        class Lines(Plugin):
            name = "lines"

            def open(self, params):
                with open(params, "rb") as file:
                    for line in file:
                        yield line.rstrip(b"\n")
        ```
    """

    name: str
    """The plugin's name. Lower-case letters, digits, ``-`` and ``_``, beginning with a letter. Must be set."""
    version: str = "0.1.0"
    """The plugin's version. Three numbers, as in semantic versioning."""
    id: int = 999
    """The id of a plugin that makes events. Falco does not load two plugins with the same id. 999 is for development.
    Choose an id from 2**30 to 2**31 - 1 for private use, or register a smaller one with Falco."""
    if TYPE_CHECKING:
        event_source: str = ""
        """The event source, which rules name with ``source:``. Lower-case letters, digits and ``_``. Defaults to the
        name, with ``_`` for ``-``."""
    else:
        event_source = _DefaultEventSource()
    extract_event_sources: Sequence[str] = ()
    """The event sources whose events have the plugin's fields, in addition to its own source. If it is empty, a plugin
    without a source extracts from the events of every plugin (``plugin_get_extract_event_sources``). ``"syscall"`` is
    the source of system calls."""
    extract_event_types: Sequence[str] = ()
    """The names of the events that have the plugin's fields, such as ``("execve", "procexit")``, as :func:`parse` names
    them. If it is empty, the fields are those of events of plugins, or of events of every type if
    ``extract_event_sources`` contains ``"syscall"`` (``plugin_get_extract_event_types``)."""
    description: str = ""
    """A description in one line. Defaults to the first line of the docstring."""
    contact: str = ""
    """An address at which the plugin's author can be reached, such as a URL."""

    config: Any
    """The plugin's ``init_config`` of falco.yaml, set before :meth:`init`. It is a ``str``. If a subclass annotates it
    with a dataclass or a ``msgspec.Struct``, as in ``config: Config``, it is an object of that class."""

    if TYPE_CHECKING:
        open: _Open  # for subclasses; the base class does not define it

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "description" not in cls.__dict__ and (doc := cls.__dict__.get("__doc__")):
            cls.description = doc.strip().partition("\n")[0].rstrip()
        registry.add_class(cls)

    @property
    def log(self) -> logging.Logger:
        """The plugin's logger. Its records go to Falco's log with their severity, as all records of ``logging`` do."""
        return logging.getLogger(self.name)

    def init(self) -> None:
        """Called once, after ``config`` was set. An exception is reported as a failure of init, and ends Falco."""

    def set_config(self, config: Any) -> None:
        """Called when the host changes the configuration, while the plugin runs (``plugin_set_config``).

        The text is checked as for :meth:`init`, and :attr:`config` is the new configuration already. If the method
        raises, the previous configuration stays, and the host gets the error. The host may call it on any thread, while
        other methods run. Only a plugin that defines this method has the function. Falco itself does not call it: after
        a change of its configuration it destroys the plugin and initialises it again.

        Args:
            config: the new configuration, as :attr:`config`.
        """

    def destroy(self) -> None:
        """Called once, as the last method of the plugin."""

    def list_open_params(self) -> Sequence[OpenParam | str]:
        """Returns suggestions for the open params (``sdk.OpenParams`` of the Go SDK)."""
        return ()

    def event_to_string(self, event: Event) -> str:
        """Returns the text of an event, which is ``%evt.plugininfo`` in rules (``sdk.Stringer`` of the Go SDK).

        The method is called once for an event. If it raises, or does not return a ``str``, the text is a placeholder
        that names the error. An empty string becomes ``<empty>``. Without these replacements Falco would show the
        payload, which the method may mask. The default is the payload with invalid UTF-8 replaced, cut at 1 KiB.
        """
        return event.text
