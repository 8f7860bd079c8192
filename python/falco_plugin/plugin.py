"""The base class of plugins."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from falco_plugin._core import Event
from falco_plugin._declare.capabilities import register_class

if TYPE_CHECKING:
    from collections.abc import Callable

    from falco_plugin.source import Context, Opened

    # What a subclass may define as `open`. mypy compares with the bound method, pyright with the function.
    _Open: TypeAlias = (
        Callable[[str], Opened]
        | Callable[[str, Context], Opened]
        | Callable[[Any, str], Opened]
        | Callable[[Any, str, Context], Opened]
    )

__all__ = ["OpenParam", "Plugin"]


class OpenParam(NamedTuple):
    """A suggestion for the open params of a plugin (``sdk.OpenParam`` of the Go SDK)."""

    value: str
    """What to give as open params."""
    desc: str = ""
    """What it means."""
    separator: str = ""
    """What stands between several of them, where several can be given."""


class _DefaultEventSource:
    """The ``event_source`` of a plugin that sets none: its name, with ``_`` for ``-``."""

    def __get__(self, plugin: object, cls: type) -> str:
        name = getattr(cls if plugin is None else plugin, "name", None)
        return name.replace("-", "_") if isinstance(name, str) else ""


class Plugin:
    """A Falco plugin (``plugins.Plugin`` of the Go SDK). A subclass that defines ``open`` is an event source, one that
    declares fields, by :func:`falco_plugin.field` and :func:`falco_plugin.json_field`, extracts them.

    ``open(self, params)`` or ``open(self, params, context)`` returns a :class:`falco_plugin.source.Instance`, or an
    iterable of events, an async iterable, or a callable that takes a context and returns one of these, which becomes a
    :class:`falco_plugin.source.IterInstance`. The context is made before ``open``, is the parent of the instance's, and
    is cancelled when the source is closed.
    """

    name: str
    """Lower-case letters, digits, ``-`` and ``_``, beginning with a letter. Must be set."""
    version: str = "0.1.0"
    """Three numbers, as in semantic versioning."""
    id: int = 999
    """The id of a plugin that makes events; Falco does not load two plugins with the same id. 999 is for development.
    Choose an id from 2**30 to 2**31 - 1 for private use, or register a smaller one with Falco."""
    if TYPE_CHECKING:
        event_source: str = ""
        """The event source, as rules name it with ``source:``. Lower-case letters, digits and ``_``. Defaults to the
        name, with ``_`` for ``-``."""
    else:
        event_source = _DefaultEventSource()
    extract_event_sources: Sequence[str] = ()
    """The event sources whose events have the plugin's fields (``plugin_get_extract_event_sources``), beside its own.
    With none, a plugin that is no source extracts from the events of every plugin."""
    description: str = ""
    """One line; the docstring's first line, if not set."""
    contact: str = ""
    """Where its author can be reached."""

    config: Any
    """The plugin's ``init_config`` of falco.yaml; set before :meth:`init`. It is text, unless the subclass annotates it
    with a dataclass or a ``msgspec.Struct``, as in ``config: Config``: then it is an object of this class."""

    if TYPE_CHECKING:
        open: _Open  # declared for subclasses; the base has none

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "description" not in cls.__dict__ and (doc := cls.__dict__.get("__doc__")):
            cls.description = doc.strip().partition("\n")[0].rstrip()
        register_class(cls)

    @property
    def log(self) -> logging.Logger:
        """The plugin's logger. It ends in Falco's log, with its severity, as all of Python's logging does."""
        return logging.getLogger(self.name)

    def init(self) -> None:
        """Called once, after ``config`` is set. What it raises is the host's init error."""

    def destroy(self) -> None:
        """The last call on the plugin."""

    def list_open_params(self) -> Sequence[OpenParam | str]:
        """Suggestions for the open params (``sdk.OpenParams`` of the Go SDK)."""
        return ()

    def event_to_string(self, event: Event) -> str:
        """The text of an event, ``%evt.plugininfo`` in rules (``sdk.Stringer`` of the Go SDK).

        The method is called once for an event. If it raises, or does not return a ``str``, the text is a placeholder
        that names the error; an empty string becomes ``<empty>``. Without a placeholder Falco would show the payload,
        which the method may mask. If the method is not defined, the text is the payload with bad UTF-8 replaced, cut at
        1 KiB.
        """
        return event.text
