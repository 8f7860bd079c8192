"""Requests a URL with the default certificates of Python's ssl."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator

from falco_plugin import Plugin


class Https(Plugin):
    """The answer of a server"""

    name = "https_answer"
    id = 1_734_560_094
    event_source = "https_answer"

    def open(self, params: str) -> Iterator[bytes]:
        """Delivers the answer of the URL `params`."""
        with urllib.request.urlopen(params, timeout=20) as answer:  # noqa: S310 - the test chooses the URL
            yield answer.read()
