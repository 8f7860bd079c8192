"""Reports in the log about fields that are absent."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from falco_plugin import Event, Plugin, field, json_field
from falco_plugin.testing import run


class Absent(Plugin):
    """Yields each line of its open parameters as an event"""

    name = "absent"

    num = json_field("p.num", "/user/name", type=int, desc="A number")
    flag = json_field("p.flag", "/flag", type=bool, desc="A flag")
    address = json_field("p.address", "/address", type=IPv4Address, desc="An address")
    items = json_field("p.items", "/items/{index|*}", type=list[int], desc="Numbers")
    value = json_field("p.value", "{pointer}", type=int, desc="Any number")

    @field("p.keys", desc="How many members the event has")
    def keys(self, event: Event) -> int:
        return len(event.json)

    def open(self, params: str) -> list[bytes]:
        return [line.encode("latin-1") for line in params.split("\n")]


def logged_warnings(fields: list[str], *payloads: str) -> list[str]:
    """Returns the warnings that a run over the payloads logs."""
    ran = run(Absent, "\n".join(payloads), fields=fields)
    assert len(ran.events) == len(payloads)
    return [line.text for line in ran.log if line.severity == "warning"]


@pytest.mark.parametrize(
    ("field_name", "payload", "message"),
    [
        (
            "p.num",
            '{"user": {"name": "eve"}}',
            "field p.num: /user/name is a string, declared int, in event 1 at byte 18",
        ),
        ("p.num", '{"user": {"name": 1.5}}', "field p.num: /user/name is a number with a fraction, declared int, "),
        ("p.num", '{"user": {"name": -1}}', "field p.num: /user/name is a negative number, declared int, "),
        (
            "p.num",
            '{"user": {"name": 1e20}}',
            "field p.num: /user/name is a number larger than 2**64 - 1, declared int, ",
        ),
        ("p.num", '{"user": {"name": []}}', "field p.num: /user/name is an array, declared int, "),
        ("p.flag", '{"flag": 1}', "field p.flag: /flag is a number, declared bool, in event 1 at byte 9"),
        ("p.address", '{"address": "::1"}', "field p.address: /address is an IPv6 address, declared IPv4Address, "),
        (
            "p.address",
            '{"address": "x"}',
            "field p.address: /address is a string that is not an IP address, declared IPv4Address, ",
        ),
        (
            "p.items[1]",
            '{"items": [1, "x"]}',
            "field p.items[1]: /items/{index|*} is a string, declared int, in event 1 at byte 14",
        ),
        (
            "p.value[/a/b]",
            '{"a": {"b": true}}',
            "field p.value[/a/b]: /a/b is a boolean, declared int, in event 1 at byte 12",
        ),
        ("p.num", "plain text", "event 1 is not valid JSON at byte 0: not a JSON value; "),
        ("p.num", '{"a": 1, "user" {', "event 1 is not valid JSON at byte 16: expected a colon after the key; "),
        ("p.num", '{"user": {"nam', "event 1 is not valid JSON at byte 10: the text ends within a value; "),
        ("p.keys", '{"a": "\xff"}', "event 1 is not valid JSON at byte 7: invalid UTF-8; "),
        ("p.num", '{"a": 1} {"user": {"name": 1}}', "event 1 is not valid JSON at byte 9: text after the end of the "),
        ("p.keys", "{} x", "event 1 is not valid JSON at byte 3: text after the end of the document; "),
        ("p.keys", "plain text", "event 1 is not valid JSON at byte 0: not a JSON value; "),
    ],
)
def test_absent_field_is_reported_with_cause_and_position(field_name: str, payload: str, message: str) -> None:
    (warning,) = logged_warnings([field_name], payload)
    assert warning.startswith(message)


def test_report_counts_later_occurrences() -> None:
    payload = '{"user": {"name": "eve"}, "flag": 1}'
    assert logged_warnings(["p.num", "p.flag"], *[payload] * 3) == [
        "field p.num: /user/name is a string, declared int, in event 1 at byte 18",
        "field p.flag: /flag is a number, declared bool, in event 1 at byte 34",
        "field p.num: /user/name is a string, declared int, in event 2 at byte 18; the first of 2 such values",
        "field p.flag: /flag is a number, declared bool, in event 2 at byte 34; the first of 2 such values",
    ]


def test_damaged_payload_counts_once_for_all_fields() -> None:
    assert logged_warnings(["p.num", "p.flag", "p.keys"], "no", "{}", "no", "no") == [
        "event 1 is not valid JSON at byte 0: not a JSON value; its fields are read as far as possible",
        "event 3 is not valid JSON at byte 0: not a JSON value; its fields are read as far as possible; the first of 2 "
        "such payloads",
    ]


def test_missing_value_is_not_reported() -> None:
    assert (
        logged_warnings(["p.num", "p.flag", "p.items"], "{}", '{"user": null, "flag": null}', '{"items": {}}', "[1]")
        == []
    )
