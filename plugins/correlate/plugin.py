"""The plugin: counts failed logins of each user, and offers the counts to the rules of any source."""

from __future__ import annotations

from collections.abc import Mapping

from falco_plugin import Counter, Event, Plugin, field, json_field, parse

from . import window
from .config import Config
from .failures import Failure, Failures


class Correlate(Plugin):
    """Failed logins of each user over a window, for any source of JSON events"""

    name = "correlate"
    contact = "the maintainers of falco-plugin-sdk"
    config: Config

    counted = Counter("failures", desc="Failed logins")
    without_user = Counter("failures_without_user", desc="Failed logins whose event has no user")
    forgotten = Counter("failures_forgotten", desc="Failed logins that were forgotten because of max_failures")

    value = json_field("login.value", "{pointer}", desc="The value at a JSON pointer in the event")

    def init(self) -> None:
        self._memory = Failures(longest=self.config.max_window * 1_000_000_000, max_failures=self.config.max_failures)

    @parse("pluginevent")
    def parsed(self, event: Event) -> None:
        """Remembers a failed login, before rules read the fields of its event."""
        if not self._is(event, self.config.failure):
            return
        self.counted.add()
        user = self.user(event)
        if user is None:
            self.without_user.add()
            return
        before = self._memory.forgotten
        self._memory.add(user, event.timestamp, self.address(event) or "")
        if forgotten := self._memory.forgotten - before:
            if not before:
                self.log.warning(
                    "more failed logins in max_window, %d s, than max_failures, %d: the users with the oldest ones are "
                    "forgotten",
                    self.config.max_window,
                    self.config.max_failures,
                )
            self.forgotten.add(forgotten)

    @field("login.user", desc="The user of the event")
    def user(self, event: Event) -> str | None:
        return self._first(event, self.config.user)

    @field("login.address", desc="The address of the client")
    def address(self, event: Event) -> str | None:
        return self._first(event, self.config.address)

    @field("login.failed", desc="Whether the event is a failed login")
    def failed(self, event: Event) -> bool:
        return self._is(event, self.config.failure)

    @field("login.succeeded", desc="Whether the event is a successful login")
    def succeeded(self, event: Event) -> bool:
        return self.config.success is not None and self._is(event, self.config.success)

    @field("login.failures", desc="Failed logins of this user in the window that ends with this event")
    def failures(self, event: Event, key: str) -> int | None:
        found = self._within(event, key)
        return None if found is None else len(found)

    @field("login.addresses", desc="Different addresses of these failed logins")
    def addresses(self, event: Event, key: str) -> int | None:
        found = self._within(event, key)
        return None if found is None else len({address for _, address in found if address})

    def _within(self, event: Event, argument: str) -> list[Failure] | None:
        """Returns the failures of the event's user in a window; ``None`` if the event has no user."""
        span = window.parse(argument, self.config.max_window)
        user = self.user(event)
        return None if user is None else self._memory.within(user, event.timestamp, span)

    def _first(self, event: Event, pointers: list[str]) -> str | None:
        """Returns the first value that an event has at one of the pointers."""
        return next((value for pointer in pointers if (value := self.value(event, key=pointer))), None)

    def _is(self, event: Event, conditions: Mapping[str, str | list[str]]) -> bool:
        """Returns whether all conditions are true."""
        return all(
            self.value(event, key=pointer) in ([wanted] if isinstance(wanted, str) else wanted)
            for pointer, wanted in conditions.items()
        )
