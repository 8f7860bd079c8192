"""The temporary folders of the command and of tests."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from falco_plugin._runtime import locked_folder

if TYPE_CHECKING:
    from collections.abc import Generator

_PREFIX = "falco-plugin-temporary-"


@contextmanager
def folder() -> Generator[Path]:
    """Makes a folder that exists as long as the context. Removes those that killed processes of this user have left."""
    place = tempfile.gettempdir()
    locked_folder.remove_leftovers(place, _PREFIX)
    path, descriptor = locked_folder.make(place, _PREFIX)
    try:
        yield Path(path)
    finally:
        shutil.rmtree(path)
        os.close(descriptor)
