"""Log lines that contain untrusted strings."""

from __future__ import annotations

from falco_plugin import Plugin
from falco_plugin.testing import run


class Quoting(Plugin):
    """Logs the name of a file"""

    name = "quoting"

    def open(self, params: str) -> list[bytes]:
        self.log.warning("cannot read %s", "a.log\n2026-11-29: Critical forged\n  indented\x1b[2J\t\r.log")
        return [b"event"]


def test_log_keeps_quoted_text_within_its_record() -> None:
    (line,) = [line.text for line in run(Quoting).log if line.severity == "warning"]
    assert line == "cannot read a.log\n  2026-11-29: Critical forged\n  indented\ufffd[2J\t\ufffd.log"
