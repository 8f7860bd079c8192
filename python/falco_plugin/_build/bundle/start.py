"""Finds the modules that every start of a plugin imports. They are stored together, so that a start reads little."""

from __future__ import annotations

import subprocess
import sys
from typing import Self

from falco_plugin._build import environment
from falco_plugin._build.errors import TargetError

_CODE = """
import sys
sys.path[:] = sys.argv[1:]
import falco_plugin._runtime.bundle.finder, falco_plugin._runtime.runtime
print(*sys.modules, sep="\\n")
"""


class Start:
    """Python in another process, which imports what runs in Falco. It runs beside this process. A context manager."""

    def __enter__(self) -> Self:
        # Without site, because .pth files of development tools import further modules.
        self._command = [sys.executable, "-I", "-S", "-c", _CODE, *environment.folders()]
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.kill()

    def modules(self) -> frozenset[str]:
        """Waits for the process, and returns the names of the modules.

        Raises:
            TargetError: Python cannot import the SDK.
        """
        output, errors = self._process.communicate()
        if self._process.returncode:
            reason = errors.strip().rpartition("\n")[2] or f"it ended with status {self._process.returncode}"
            raise TargetError(
                f"{sys.executable} cannot import falco-plugin-sdk in isolated mode, which Falco uses: {reason}: "
                "install it again"
            )
        return frozenset(output.split())
