"""The plugins that are event sources: subclasses of ``Plugin`` that define ``open``, and registered objects."""

from __future__ import annotations

import weakref

_classes: weakref.WeakSet[type] = weakref.WeakSet()
_objects: dict[int, object] = {}


def add_class(cls: type) -> None:
    """Registers a subclass of ``Plugin`` if it defines ``open``."""
    if getattr(cls, "open", None) is not None:
        _classes.add(cls)


def add_object(plugin: object) -> None:
    """Registers an object of any class. It is held until `remove_object`."""
    _objects[id(plugin)] = plugin


def remove_object(plugin: object) -> None:
    """Forgets an object, if it was registered."""
    _objects.pop(id(plugin), None)


def is_source(plugin: object) -> bool:
    """Returns whether the plugin has the event sourcing capability."""
    return id(plugin) in _objects or type(plugin) in _classes
