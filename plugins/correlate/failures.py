"""The failed logins of each user, with bounded memory."""

from __future__ import annotations

import hashlib
from bisect import bisect_right, insort
from collections import OrderedDict
from operator import itemgetter
from typing import TypeAlias

MAX_OF_USER = 10_000
"""The number of failures that are remembered of one user."""
MAX_TEXT = 128
"""Characters of a user or an address that are kept. A longer one is replaced by its hash, which is as good to count."""

Failure: TypeAlias = tuple[int, str]
"""The time of a failed login in nanoseconds since the epoch, and the client's address, which may be empty."""

_time = itemgetter(0)


class Failures:
    """The most recent failures of each user.

    If there are more failures than are remembered, those of the user whose last failure was added first are forgotten.
    """

    def __init__(self, *, longest: int, max_failures: int) -> None:
        """Makes an empty memory.

        Args:
            longest: the nanoseconds of the longest window. Older failures are forgotten.
            max_failures: the number of failures of all users.
        """
        self._longest = longest
        self._max_failures = max_failures
        self._users: OrderedDict[str, list[Failure]] = OrderedDict()
        self._count = 0
        self.forgotten = 0
        """Failures that were forgotten although they were in the longest window."""

    def __len__(self) -> int:
        """Returns the number of failures."""
        return self._count

    def add(self, user: str, time: int, address: str) -> None:
        """Adds a failed login. Events need not be in the order of their times."""
        user = _shortened(user)
        failures = self._users.setdefault(user, [])
        self._users.move_to_end(user)
        insort(failures, (time, _shortened(address)), key=_time)
        newest = failures[-1][0]
        outdated = bisect_right(failures, newest - self._longest, key=_time)
        excess = len(failures) - MAX_OF_USER
        self._count += 1 - self._forget(failures, max(outdated, excess), newest)
        while self._count > self._max_failures and len(self._users) > 1:
            _, oldest = self._users.popitem(last=False)
            self._count -= self._forget(oldest, len(oldest), newest)
        if self._count > self._max_failures:
            self._count -= self._forget(failures, self._count - self._max_failures, newest)

    def _forget(self, failures: list[Failure], number: int, newest: int) -> int:
        """Removes failures of a user, oldest first, and counts those in the longest window. Returns their number."""
        number = max(number, 0)
        self.forgotten += number - bisect_right(failures, newest - self._longest, hi=number, key=_time)
        del failures[:number]
        return number

    def within(self, user: str, time: int, window: int) -> list[Failure]:
        """Returns the failures of a user in the window that ends with `time`, in the order of their times.

        A failure at the beginning of the window does not count, one at its end does.
        """
        failures = self._users.get(_shortened(user), [])
        begin = bisect_right(failures, time - window, key=_time)
        end = bisect_right(failures, time, key=_time)
        return failures[begin:end]


def _shortened(text: str) -> str:
    """Returns a text that is no longer than the longest one, and is equal only for equal texts."""
    return text if len(text) <= MAX_TEXT else hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
