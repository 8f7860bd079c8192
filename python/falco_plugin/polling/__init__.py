"""A base class for plugins that poll an HTTP API (package ``polling``).

It needs httpx: ``pip install 'falco-plugin-sdk[polling]'``. Only plugins that import this package bring it.
"""

from __future__ import annotations

try:
    __import__("httpx")
except ModuleNotFoundError as _error:
    if _error.name != "httpx":
        raise
    raise ImportError(
        "falco_plugin.polling needs httpx, which is not installed: pip install 'falco-plugin-sdk[polling]'"
    ) from None

from falco_plugin.polling.config import PollerConfig
from falco_plugin.polling.poller import HttpPoller
from falco_plugin.polling.request import Request
from falco_plugin.polling.response import Response

__all__ = ["HttpPoller", "PollerConfig", "Request", "Response"]
