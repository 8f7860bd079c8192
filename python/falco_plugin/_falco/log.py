"""Reads Falco's log on stderr: drops its time and its routine, and finds the counts of fields."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping

_TIME = re.compile(
    r"(?:[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}): "
)
_ROUTINE = re.compile(
    r"Falco version: |Falco initialized with configuration file|   .* \| schema validation: (?:ok|none)$|"
    r"System info: |Loaded plugin '|Loading plugin '|Loading rules from|Hostname value|"
    r"Setting metrics interval|The chosen syscall buffer|Loaded event sources: |Enabled event sources: |"
    r"Trying to open the right engine|"
    r"Opening '.*' source with |SIG(?:INT|HUP) received|Capture is enabled|Replaying events from|Starting "
)
"""The lines that Falco logs at each start."""
_COUNTS = re.compile(r"\[libs\]: ([^:]+): present and absent fields: (\{.*\})$")
"""The counts that the SDK logs if ``FALCO_PLUGIN_COUNT_FIELDS`` is set (``rust/python/src/plugin.rs``)."""
_LIBS = "[libs]: "


class FieldCounts:
    """How often the fields of plugins were present and absent."""

    def __init__(self) -> None:
        self.plugins: set[str] = set()
        """The names of the plugins that count."""
        self.present: Counter[str] = Counter()
        """In how many events each field had a value. Fields are written as in rules."""
        self.absent: Counter[str] = Counter()
        """In how many events each field had no value."""

    def add(self, plugin: str, counts: Mapping[str, list[int]]) -> None:
        """Adds the counts of one copy of a plugin. Falco has a copy for each event source."""
        self.plugins.add(plugin)
        for name, (present, absent) in counts.items():
            self.present[name] += present
            self.absent[name] += absent

    def never_present(self) -> dict[str, int]:
        """Returns the fields that were requested and never had a value, with the number of events."""
        return {name: count for name, count in self.absent.items() if count and not self.present[name]}


class Log:
    """The lines of one run of Falco."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        """The lines of the log that are not routine."""
        self.counts = FieldCounts()
        """The counts of fields."""

    def add(self, line: str) -> str | None:
        """Adds a line. Returns it as it is shown; ``None`` if it is routine."""
        text = _TIME.sub("", line.rstrip("\r\n"), count=1)
        if found := _COUNTS.match(text):
            try:
                self.counts.add(found[1], json.loads(found[2]))
            except (ValueError, TypeError):
                return self._keep(text)
            return None
        return self._keep(text)

    def _keep(self, text: str) -> str | None:
        shown = text.removeprefix(_LIBS)
        if not shown.strip() or _ROUTINE.match(shown):
            return None
        self.lines.append(shown)
        # An error may repeat itself in a log of any length.
        del self.lines[:-MAX_LINES]
        return shown


MAX_LINES = 10_000
"""The last lines that are kept of a log."""
