"""Adapts ``ctypes``: the Python library has a unique name, and no symbol of it is in the global scope."""

from __future__ import annotations

import functools
from typing import Any

from falco_plugin._runtime.bundle import finder


def adapt_ctypes(ctypes: Any) -> None:
    """Makes ``pythonapi`` that of this interpreter, and opens libraries of the bundle by their original name."""
    assert finder.installed is not None
    bundle = finder.installed.bundle
    open_library = ctypes.CDLL.__init__

    @functools.wraps(open_library)
    def open_or_explain(self: Any, name: Any, *args: Any, **kwargs: Any) -> None:
        try:
            open_library(self, name, *args, **kwargs)
        except OSError as error:
            if not isinstance(name, str):
                raise
            if name.startswith(f"{bundle.root}/"):
                raise OSError(
                    f"cannot open {name}, because it is inside of the plugin library, not in the file system: "
                    "pass its path from importlib.resources.as_file"
                ) from error
            try:
                # The name of a library that an extension module of the bundle has opened.
                open_library(self, f"{bundle.id}-{name}", *args, **kwargs)
            except OSError:
                raise error from None

    @functools.wraps(ctypes.PyDLL.__init__)
    def open_python(self: Any, name: Any, *args: Any, **kwargs: Any) -> None:
        # Without a name, ctypes would search the program, which has no Python.
        open_or_explain(self, bundle.libpython if name is None else name, *args, **kwargs)

    ctypes.CDLL.__init__ = open_or_explain
    ctypes.PyDLL.__init__ = open_python
    ctypes.pythonapi = ctypes.PyDLL(None)
