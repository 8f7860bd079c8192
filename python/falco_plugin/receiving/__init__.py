"""Receiving: a base class for plugins whose events are HTTP requests, such as webhooks.

It needs no package besides the SDK: the HTTP server is a part of this package.
"""

from __future__ import annotations

from falco_plugin.receiving.config import ReceiverConfig, tls_context
from falco_plugin.receiving.receiver import HttpReceiver, Item
from falco_plugin.receiving.rejections import RejectionLog
from falco_plugin.receiving.request import Rejection, Request
from falco_plugin.receiving.verification import HmacSignature, SharedToken, Verification

__all__ = [
    "HmacSignature",
    "HttpReceiver",
    "Item",
    "ReceiverConfig",
    "Rejection",
    "RejectionLog",
    "Request",
    "SharedToken",
    "Verification",
    "tls_context",
]
