"""Fields whose methods fail: what the host gets, and what the log says."""

from __future__ import annotations

import pytest
from support.embedded import Library
from support.events import encode_event
from support.field_plugins import field_log_lines, fields_plugin
from support.fields import Extraction, replay_together

RAISING = """
@field("fails.always", desc="Fails for two causes, and at two places")
def always(self, event) -> str:
    if event.data == b"key":
        return {}["secret"]
    if event.data == b"other":
        raise ValueError("elsewhere")
    if event.data != b"fine":
        raise ValueError(f"at event {event.number}")
    return "fine"


@field("fails.too", desc="Fails for a cause of its own")
def too(self, event) -> str:
    raise ValueError("too")
"""


def place_of(text: str, function: str) -> str:
    """Where in the plugin a line stands, as failures are told."""
    line = next(number for number, line in enumerate(fields_plugin(RAISING).splitlines(), 1) if text in line)
    return f"(fields.py:{line} in {function})"


def test_failure_is_logged_once_per_cause_then_counted(build_fields) -> None:
    library = build_fields(RAISING)
    at_event, key, elsewhere, too = (
        place_of(text, function)
        for text, function in [
            ("at event", "always"),
            ('{}["secret"]', "always"),
            ("elsewhere", "always"),
            ('ValueError("too")', "too"),
        ]
    )
    with Library(library) as loaded:

        def extract(payload: bytes, field: str = "fails.always", times: int = 1, first: int = 1) -> list[str]:
            """What is logged meanwhile."""
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
        # The cause is the class and the place, not the text.
        assert extract(b"key")[0].startswith(f"field fails.always is absent: KeyError: 'secret' {key}\n")
        assert extract(b"other")[0].startswith(f"field fails.always is absent: ValueError: elsewhere {elsewhere}\n")
        assert extract(b"x", "fails.too")[0].startswith(f"field fails.too is absent: ValueError: too {too}\n")
        assert extract(b"fine") == []
        assert extract(b"x", times=89, first=11) == []
        assert extract(b"x", first=100) == [f"field fails.always was absent 100 times: ValueError {at_event}"]
        assert extract(b"x", times=5, first=101) == []
        assert extract(b"key", times=2, first=2) == []
        told = len(loaded.logs)
    assert sorted(text.removeprefix("falco_plugin: ") for _, text in loaded.logs[told:]) == sorted(
        [
            f"field fails.always was absent 105 times: ValueError {at_event}",
            f"field fails.always was absent 3 times: KeyError {key}",
        ]
    ), "what was not told yet is told at the end"


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        ("KeyboardInterrupt", "KeyboardInterrupt"),
        ("SystemExit(3)", "SystemExit: 3"),
        ("GeneratorExit", "GeneratorExit"),
        ("StopIteration", "StopIteration"),
        ("EOF", "EOF cannot be raised from field fails.so, only from next_batch"),
        ("Timeout", "Timeout cannot be raised from field fails.so, only from next_batch"),
    ],
)
def test_any_exception_of_method_keeps_plugin_running(build_fields, raised: str, told: str) -> None:
    library = build_fields(
        f"""
        @field("fails.so", desc="Fails")
        def so(self, event) -> str:
            raise {raised}

        fine = json_field("fails.not", "", type=int, desc="Does not")
        """
    )
    with Library(library) as loaded:
        assert loaded.extract(encode_event(b"7"), "fails.so") == Extraction(None)
        assert loaded.extract(encode_event(b"7"), "fails.not").values == [7]
        (line,) = field_log_lines(loaded, "fails.so")
    assert line.startswith(f"falco_plugin: field fails.so is absent: {told} (fields.py:")


def test_invalid_json_makes_field_absent_silently(build_fields) -> None:
    library = build_fields("""
        @field("reads.json", desc="Reads it")
        def reads(self, event) -> int:
            return event.json["a"]
    """)
    with Library(library) as loaded:
        assert loaded.extract(encode_event(b"no JSON"), "reads.json") == Extraction(None)
        assert not field_log_lines(loaded, "reads.json")
        assert loaded.extract(encode_event(b"[]"), "reads.json") == Extraction(None)
        assert field_log_lines(loaded, "reads.json"), "JSON of another shape is the method's to think of"


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
        @field("fails.loudly", desc="Fails with what stands in the event")
        def loudly(self, event) -> int:
            raise ValueError(event.text)
    """)
    with Library(library) as loaded:
        loaded.extract(encode_event(b"\x1b[31m\n[libs]: forged" + b"a" * 10_000_000), "fails.loudly")
        ((_, text),) = loaded.logs
    assert len(text) < 10_000
    assert "\x1b" not in text
    assert all(line.startswith("  ") for line in text.splitlines()[1:]), "no line looks like one of the host"


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
