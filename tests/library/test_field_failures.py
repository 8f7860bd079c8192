"""Methods of fields that fail: what the host receives and what is logged."""

from __future__ import annotations

import pytest
from support.embedded import Library
from support.events import encode_event
from support.field_plugins import field_log_lines, fields_plugin
from support.fields import Extraction, replay_together

RAISING = """
@field("fails.always", desc="Fails with different exceptions at different lines")
def always(self, event) -> str:
    if event.data == b"key":
        return {}["secret"]
    if event.data == b"other":
        raise ValueError("elsewhere")
    if event.data != b"fine":
        raise ValueError(f"at event {event.number}")
    return "fine"


@field("fails.too", desc="Fails for a separate cause")
def too(self, event) -> str:
    raise ValueError("too")
"""


def location_of(text: str, function: str) -> str:
    """Returns the location of a line of the plugin in the format of the log."""
    line = next(number for number, line in enumerate(fields_plugin(RAISING).splitlines(), 1) if text in line)
    return f"(fields.py:{line} in {function})"


def test_failure_is_logged_once_per_cause_then_counted(build_fields) -> None:
    library = build_fields(RAISING)
    at_event, key, elsewhere, too = (
        location_of(text, function)
        for text, function in [
            ("at event", "always"),
            ('{}["secret"]', "always"),
            ("elsewhere", "always"),
            ('ValueError("too")', "too"),
        ]
    )
    with Library(library) as loaded:

        def extract(payload: bytes, field: str = "fails.always", times: int = 1, first: int = 1) -> list[str]:
            """Extracts the field and returns the messages that are logged by that."""
            before = len(loaded.logs)
            for number in range(first, first + times):
                values = loaded.extract(encode_event(payload), field, number).values
                assert values == (["fine"] if payload == b"fine" else None)
            assert {severity for severity, _ in loaded.logs[before:]} <= {3}
            return [text.removeprefix("falco_plugin: ") for _, text in loaded.logs[before:]]

        (first,) = extract(b"x")
        assert first.startswith(f"field fails.always is absent: ValueError: at event 1 {at_event}\n  Traceback")
        assert 'raise ValueError(f"at event {event.number}")' in first
        assert extract(b"x", times=8, first=2) == []
        assert extract(b"x", first=10) == [f"field fails.always was absent 10 times: ValueError {at_event}"]
        # Class and line identify a cause. Messages may differ.
        assert extract(b"key")[0].startswith(f"field fails.always is absent: KeyError: 'secret' {key}\n")
        assert extract(b"other")[0].startswith(f"field fails.always is absent: ValueError: elsewhere {elsewhere}\n")
        assert extract(b"x", "fails.too")[0].startswith(f"field fails.too is absent: ValueError: too {too}\n")
        assert extract(b"fine") == []
        assert extract(b"x", times=89, first=11) == []
        assert extract(b"x", first=100) == [f"field fails.always was absent 100 times: ValueError {at_event}"]
        assert extract(b"x", times=5, first=101) == []
        assert extract(b"key", times=2, first=2) == []
        logged = len(loaded.logs)
    assert sorted(text.removeprefix("falco_plugin: ") for _, text in loaded.logs[logged:]) == sorted(
        [
            f"field fails.always was absent 105 times: ValueError {at_event}",
            f"field fails.always was absent 3 times: KeyError {key}",
        ]
    ), "pending counts are logged at the end"


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        ("KeyboardInterrupt", "KeyboardInterrupt"),
        ("SystemExit(3)", "SystemExit: 3"),
        ("GeneratorExit", "GeneratorExit"),
        ("StopIteration", "StopIteration"),
        ("EOF", "EOF cannot be raised from field fails.always, only from next_batch"),
        ("Timeout", "Timeout cannot be raised from field fails.always, only from next_batch"),
    ],
)
def test_any_exception_of_method_keeps_plugin_running(build_fields, raised: str, expected: str) -> None:
    library = build_fields(
        f"""
        @field("fails.always", desc="Fails")
        def always(self, event) -> str:
            raise {raised}

        fine = json_field("works.always", "", type=int, desc="Works")
        """
    )
    with Library(library) as loaded:
        assert loaded.extract(encode_event(b"7"), "fails.always") == Extraction(None)
        assert loaded.extract(encode_event(b"7"), "works.always").values == [7]
        (line,) = field_log_lines(loaded, "fails.always")
    assert line.startswith(f"falco_plugin: field fails.always is absent: {expected} (fields.py:")


def test_invalid_json_makes_field_absent_silently(build_fields) -> None:
    library = build_fields("""
        @field("reads.json", desc="Reads event.json")
        def reads(self, event) -> int:
            return event.json["a"]
    """)
    with Library(library) as loaded:
        assert loaded.extract(encode_event(b"no JSON"), "reads.json") == Extraction(None)
        assert not field_log_lines(loaded, "reads.json")
        assert loaded.extract(encode_event(b"[]"), "reads.json") == Extraction(None)
        assert field_log_lines(loaded, "reads.json"), "the method must handle JSON of another shape"


def test_unprintable_failure_is_reported_once(build_fields) -> None:
    library = build_fields("""
        @field("fails.silently", desc="Fails")
        def silently(self, event) -> int:
            class Silent(Exception):
                def __str__(self):
                    raise SystemExit

            raise Silent
    """)
    with Library(library) as loaded:
        for number in range(9):
            assert loaded.extract(encode_event(b""), "fails.silently", number) == Extraction(None)
        (line,) = field_log_lines(loaded, "fails.silently")
    assert line.startswith(
        "falco_plugin: field fails.silently is absent: Silent: no message, because its __str__ raised SystemExit"
    )


def test_failure_log_is_bounded_and_escaped(build_fields) -> None:
    library = build_fields(r"""
        @field("fails.loudly", desc="Fails with the payload as its message")
        def loudly(self, event) -> int:
            raise ValueError(event.text)
    """)
    with Library(library) as loaded:
        loaded.extract(encode_event(b"\x1b[31m\n[libs]: forged" + b"a" * 10_000_000), "fails.loudly")
        ((_, text),) = loaded.logs
    assert len(text) < 10_000
    assert "\x1b" not in text
    assert all(line.startswith("  ") for line in text.splitlines()[1:]), "no line looks like a log line of the host"


def test_failure_keeps_other_fields(build_fields) -> None:
    library = build_fields(
        """
        fine = json_field("some.number", "/a", type=int, desc="Fine")

        @field("some.failure", desc="Fails")
        def failure(self, event) -> int:
            raise ValueError

        @field("some.text", desc="Fine")
        def text(self, event) -> str:
            return event.text
        """
    )
    (extracted,) = replay_together(library, ["some.number", "some.failure", "some.text"], [b'{"a": 7}'])
    assert {field: found.values for field, found in extracted.items()} == {
        "some.number": [7],
        "some.failure": None,
        "some.text": ['{"a": 7}'],
    }
