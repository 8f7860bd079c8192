"""Records of a REST audit API as events, with a cursor that outlives a restart."""

from __future__ import annotations

from falco_plugin import Event, OpenParam, Plugin, source

from .api import Api
from .config import Config
from .cursor import CursorFile, first_url
from .feed import Feed


class Poller(Plugin):
    """Records of a REST audit API, such as Okta's and GitHub's"""

    name = "poller"
    id = 999
    event_source = "audit_api"

    def init(self) -> None:
        self._config = Config.read(self.config)

    def open(self, params: str) -> source.IterInstance:
        """Params: the URL of the records, oldest first; ``{start}`` in it becomes the time to begin at."""
        api = Api(params, self._config)
        cursors = CursorFile(self._config.state_file, params, self.log)
        feed = Feed(api, cursors, cursors.load(first_url(params, self._config.start)), self._config, self.log)
        return source.IterInstance(feed.poll, retry=self._config.retry_wait, event_size=self._config.event_size)

    def list_open_params(self) -> list[OpenParam]:
        return [
            OpenParam(
                "https://example.okta.com/api/v1/logs?since={start}&sortOrder=ASCENDING&limit=1000",
                "the System Log of Okta",
            ),
            OpenParam(
                "https://api.github.com/orgs/example/audit-log?phrase=created:>={start}&include=all&order=asc&per_page=100",
                "the audit log of an organisation on GitHub",
            ),
        ]

    def event_to_string(self, event: Event) -> str:
        """The record in full, where the SDK's own text ends after 1 KiB: nothing in it may be out of a rule's sight."""
        return event.text
