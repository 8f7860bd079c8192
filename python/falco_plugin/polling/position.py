"""The position in the API's log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from falco_plugin.polling.request import Request

Found: TypeAlias = "Sequence[tuple[str, int | None]]"
"""The ids of the records of a page, and their times in nanoseconds, if they have one."""

_SECOND = 1_000_000_000

MOST_SEEN = 50_000
"""Records of a round that are remembered, at most. A position has those of two rounds, and must fit into a cursor file
even if each is identified by its hash."""


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The page to request next, and the delivered records that may come again."""

    request: Request
    seen: dict[str, int] = {}
    """The records that an earlier answer to this request had, or those of earlier rounds: their ids and times."""
    since: int = 0
    """The time at which the current round began, in nanoseconds."""
    newest: int = 0
    """The latest time of a delivered record, in nanoseconds."""
    seen_in_round: dict[str, int] = {}
    """The records of the current round: their ids and times."""

    def time_of(self, id: str) -> int | None:
        """Returns the time of a delivered record; ``None`` if it was not delivered, or may be forgotten."""
        return self.seen.get(id, self.seen_in_round.get(id))

    def after_page(self, found: Found, request: Request | None) -> Position:
        """Returns the position behind a page of an API whose log is a chain of pages.

        Such a log may end in two ways. Okta's last page has a link to a next one, which is empty until there are new
        records. GitHub's last page does not have a link: it grows, and must be requested again.
        """
        if request is None or request == self.request:
            # An empty answer does not mean that the known records will not come back.
            return Position(self.request, {id: time or 0 for id, time in found} or self.seen)
        return Position(request)

    def within_round(self, found: Found, request: Request, overlap: float, now: int) -> Position:
        """Returns the position behind a page of a round.

        Args:
            found: the records of the page.
            request: the request for the next page.
            overlap: seconds by which a round begins before the newest record of the preceding one.
            now: the time in nanoseconds. A record with a later time must not hide those before it.
        """
        newest = max([self.newest, *(min(time, now) for _, time in found if time is not None)])
        # The records of this page are kept, because new records may push them to the next page.
        kept = _prune(self.seen_in_round, newest, overlap)
        return Position(
            request, self.seen, self.since, newest, kept | {id: now if time is None else time for id, time in found}
        )

    def next_round(self, overlap: float) -> Position:
        """Returns the position behind the last page of a round, with the request of this round."""
        since = max(self.since, self.newest - int(overlap * _SECOND))
        return Position(self.request, _prune(self.seen | self.seen_in_round, self.newest, overlap), since, self.newest)


def _prune(seen: dict[str, int], newest: int, overlap: float) -> dict[str, int]:
    """Removes the records that the next round, which overlaps with this one, cannot contain."""
    # The API may round the beginning of a round down, by as much as the overlap.
    first = newest - int(2 * overlap * _SECOND) - _SECOND
    kept = {id: time for id, time in seen.items() if time >= first}
    if len(kept) > MOST_SEEN:
        kept = dict(sorted(kept.items(), key=lambda item: item[1])[-MOST_SEEN:])
    return kept
