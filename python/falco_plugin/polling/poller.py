"""The base class of plugins that poll an HTTP API."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from falco_plugin import Cursor, Plugin, Secret, source
from falco_plugin.errors import PluginError
from falco_plugin.polling.client import Client, normalize
from falco_plugin.polling.config import PollerConfig
from falco_plugin.polling.feed import Feed
from falco_plugin.polling.position import Position
from falco_plugin.polling.request import Request
from falco_plugin.polling.response import Response

START = "{start}"
"""The part of the URL that is replaced by the time to begin at."""

_TOKEN = re.compile("[!-~]+")
_EPOCH, _LATER = datetime(1970, 1, 1, tzinfo=UTC), datetime(2000, 1, 1, tzinfo=UTC)


class HttpPoller(Plugin):
    """Base class of plugins that poll an HTTP API for records. Each record is an event: its JSON, without white space.

    The defaults suit an API that answers with a JSON array, oldest record first, and links to the next page in the
    header ``Link``. The URL is the open params. ``{start}`` in it is replaced by the time to begin at. A subclass
    states what is different, by attributes and methods.

    Each record is delivered at least once. The position is saved when the host has processed all records of a page.

    Example:
        ```python
        class Okta(HttpPoller):
            name = "okta"
            auth_scheme = "SSWS"
            id_field = "uuid"
            timestamp_field = "published"

            action = json_field("okta.action", "/eventType", desc="The action")
        ```
    """

    if TYPE_CHECKING:
        config: Any  # of a subclass of PollerConfig; type checkers reject another type for an attribute of that type
    else:
        config: PollerConfig

    id_field: str = ""
    """The member of a record that is its id: a name, or a JSON pointer such as ``"/meta/id"``. A record without an id,
    or any record if this is empty, is identified by its content."""
    timestamp_field: str = ""
    """The member of a record that is its time, as ``id_field``. :func:`falco_plugin.source.parse_timestamp` describes
    its forms. An event without a time gets the time of its arrival."""
    records_field: str = ""
    """The member of an answer that is the array of records, as ``id_field``. Empty if the answer is the array."""
    auth_scheme: str = "Bearer"
    """The word before the token in the header ``Authorization``."""
    overlap: float | None = None
    """Set it if the log is read in rounds, each from a time to the newest record: the seconds by which a round begins
    before the newest record of the preceding one. Records that were delivered already are recognised. It must be at
    least the resolution of the API's start time. With ``None`` the log is a chain of pages, in which the last page is
    requested again until it has a next one."""

    def first_request(self, params: str, start: datetime) -> Request:
        """Returns the request to begin with, at the first start or in each round.

        The default requests the URL ``params`` with ``{start}`` replaced by the start, such as
        ``2026-11-01T00:00:00.000Z``. The method is also called with other starts, to find out whether it uses the
        start, and to recognise the cursor file by its URL.

        Args:
            params: the open params.
            start: the time at which records begin, in UTC.
        """
        text = start.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return Request(params.replace(START, quote(text)))

    def headers(self) -> Mapping[str, str]:
        """Returns headers of each request, which other hosts never get.

        The default is ``Authorization`` with the scheme and the token, if the configuration has a token. It is called
        for each request, and once when the source opens.
        """
        token: Secret | None = self.config.token
        if token is None:
            return {}
        text = token.reveal().strip()
        # Any other character would be an error of the HTTP library, which quotes the header.
        if not _TOKEN.fullmatch(text):
            raise ValueError("token must contain only the token, in printable ASCII without blanks")
        return {"Authorization": f"{self.auth_scheme} {text}"}

    def records(self, response: Response) -> Sequence[bytes]:
        """Returns the records of an answer, each as its JSON. The default reads the array at ``records_field``.

        If this method, :meth:`next_request` or :meth:`has_more` raises, the answer cannot be used: at the start this
        ends Falco, later the page is requested again after ``retry_wait``. :class:`falco_plugin.Fatal` always ends
        Falco, and :class:`falco_plugin.RetryLater` sets the wait, for APIs that report a limit with the status 200.
        """
        return response.records(self.records_field)

    def next_request(self, response: Response) -> Request | None:
        """Returns the request for the page after an answer; ``None`` if there is none yet.

        The default follows the link to the next page in the header ``Link``. The request must be to the same scheme,
        host and port.
        """
        link = response.link()
        return None if link is None else Request(link)

    def has_more(self, response: Response, count: int) -> bool | None:
        """Returns whether the next page has records now, so that it is requested without waiting for ``interval``.

        The default is ``None``: it has if this page is full.

        Args:
            response: the answer.
            count: the number of its records.
        """
        return None

    def open(self, params: str) -> source.IterInstance:
        """Polls the API. A subclass does not override it."""
        feed = open_feed(self, params)
        return source.IterInstance(
            feed.poll, retry=self.config.retry_wait, close=feed.close, event_size=self.config.event_size
        )


def open_feed(
    poller: HttpPoller,
    params: str,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    clock: Callable[[], float] = time.time,
) -> Feed:
    """Returns the records of a poller, as its method ``open`` delivers them.

    Args:
        poller: the plugin, whose configuration is set.
        params: the open params.
        transport: sends requests instead of the network.
        now: returns the time in seconds, from any start.
        sleep: waits so many seconds.
        clock: returns the time in seconds since the epoch.

    Raises:
        PluginError: the class of the configuration is wrong, or the cursor file cannot be used.
        ValueError: the URL, or a setting, cannot be used.
    """
    config = poller.config
    if not isinstance(config, PollerConfig):
        raise PluginError(
            f"{type(poller).__name__}.config must be annotated with PollerConfig or a subclass of it, not "
            f"{type(config).__name__}"
        )
    if poller.overlap is not None and not poller.timestamp_field:
        raise PluginError(
            f"{type(poller).__name__} has overlap, but no timestamp_field: set it to the time of a record"
        )
    log = poller.first_request(params, _EPOCH)
    if log == poller.first_request(params, _LATER):
        if config.start is not None:
            raise ValueError(
                f"start is set, but open_params does not contain {START}: write it there instead of a time"
            )
        if poller.overlap is not None:
            raise ValueError(f"open_params does not contain {START}: write it there, because each round begins at it")
    begin = config.start or datetime.fromtimestamp(clock(), UTC)
    first = poller.first_request(params, begin.astimezone(UTC))
    client = Client(first, config, poller.headers, transport)
    # An error here ends Falco at its start; after later errors the API is asked again.
    poller.headers()
    start = Position(normalize(first), since=int(begin.timestamp() * 1_000_000_000))
    cursor = Cursor(poller, log.url, path=config.cursor_file, start=start)
    return Feed(poller, params, client, first, cursor, now, sleep, clock)
