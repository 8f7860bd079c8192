"""The initialised plugins of this process, and the one whose code the current thread runs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from falco_plugin import _core

if TYPE_CHECKING:
    from falco_plugin._core import HostLog


class AttachedPlugin:
    """A plugin whose log records go to the host until its log closes."""

    __slots__ = ("event_source", "log", "logger_names", "open_location", "package")

    def __init__(self, package: str, log: HostLog) -> None:
        self.package = package
        """The private package of the plugin's modules."""
        self.logger_names = [package]
        """The names of the plugin's loggers."""
        self.log = log
        """The log of the host."""
        self.event_source = ""
        """The event source of the plugin; empty if it has none or is not known yet."""
        self.open_location = ""
        """Where ``open`` of the plugin is defined."""

    def owned_logger(self, name: str) -> str:
        """Returns the plugin's logger that has this name or is a parent of it; empty if there is none."""
        return next((own for own in self.logger_names if name == own or name.startswith(f"{own}.")), "")


# Changed under the lock, and only as a whole, so that readers need no lock.
_plugins: list[AttachedPlugin] = []
_changes = threading.Lock()


def plugins() -> tuple[AttachedPlugin, ...]:
    """Returns all attached plugins in the order of their initialisation."""
    return tuple(_plugins)


def attach(package: str, log: HostLog) -> AttachedPlugin:
    """Adds a plugin that is being initialised, and removes plugins whose logs have closed."""
    plugin = AttachedPlugin(package, log)
    with _changes:
        _plugins[:] = [*(attached for attached in _plugins if attached.log.open), plugin]
    return plugin


def detach(log: HostLog) -> None:
    """Removes the plugin with this log."""
    with _changes:
        _plugins[:] = [attached for attached in _plugins if attached.log is not log]


def current() -> AttachedPlugin | None:
    """Returns the plugin whose code this thread runs; ``None`` if it is not known."""
    return with_number(plugins(), _core.current_plugin())


def with_number(attached: tuple[AttachedPlugin, ...], number: int) -> AttachedPlugin | None:
    """Returns the plugin with a number of ``_core.current_plugin``; ``None`` for 0."""
    return next((plugin for plugin in attached if plugin.log.number == number), None) if number else None
