"""The error of a Falco that cannot be found or run."""

from __future__ import annotations

from falco_plugin.errors import PluginError


class FalcoError(PluginError):
    """Falco cannot be run, or has failed. The message is one line; `details` are further lines, such as its log."""

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(f"{message}\n{details}" if details else message)
        self.message = message
        self.details = details


class NoFalcoError(FalcoError):
    """There is no Falco on this machine."""
