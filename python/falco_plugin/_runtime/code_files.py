"""Distinguishes the files of the SDK, of the standard library and of other code."""

from __future__ import annotations

import os
import sys
import traceback

_PACKAGE_FOLDER = os.path.dirname(os.path.dirname(__file__)) + "/"
_STANDARD_FOLDER = os.path.dirname(traceback.__file__) + "/"
_FROZEN = "<frozen "
"""The beginning of the file name of a module that is built into Python."""


def is_of_sdk(file: str) -> bool:
    """Returns whether code of this file belongs to this package."""
    return file.startswith(_PACKAGE_FOLDER)


def is_frozen(file: str) -> bool:
    """Returns whether code of this file is built into Python."""
    return file.startswith(_FROZEN)


def is_standard(file: str) -> bool:
    """Returns whether code of this file belongs to the standard library."""
    if is_frozen(file) or not file.startswith(_STANDARD_FOLDER):
        return is_frozen(file)
    if _PACKAGE_FOLDER.removeprefix(_STANDARD_FOLDER) != "falco_plugin/":
        return True
    # In a self-contained library, the standard library and all packages are in one folder.
    return file[len(_STANDARD_FOLDER) :].partition("/")[0].removesuffix(".py") in sys.stdlib_module_names
