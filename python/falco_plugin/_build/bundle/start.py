"""Finds the modules that every start of a plugin imports. They are stored together, so that a start reads little."""

from __future__ import annotations

import subprocess
import sys

from falco_plugin._build import environment

_CODE = """
import sys
sys.path[:] = sys.argv[1:]
import falco_plugin._runtime.bundle.finder, falco_plugin._runtime.runtime
print(*sys.modules, sep="\\n")
"""


class Start:
    """Python in another process, which imports what runs in Falco. It runs while this process goes on."""

    def __init__(self) -> None:
        # Without site, because .pth files of development tools import further modules.
        command = [sys.executable, "-I", "-S", "-c", _CODE, *environment.folders()]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def modules(self) -> frozenset[str]:
        """Waits for the process, and returns the names of the modules."""
        output, _ = self._process.communicate()
        if self._process.returncode:
            raise RuntimeError("cannot import the SDK in an isolated Python: see the traceback above")
        return frozenset(output.split())
