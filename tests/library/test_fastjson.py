"""Compares `json_field` with github.com/valyala/fastjson, the parser of the official plugins json and k8saudit.

`json_field` must find each value that fastjson finds in a document, even in a damaged one. The exceptions are listed
in `support.fastjson_differences`. `HYPOTHESIS_PROFILE=slow` compares many more documents.
"""

from __future__ import annotations

import json
import re
import subprocess
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fastjson_differences import MORE_VALUES, OTHER_VALUES, Difference
from support.hosts import environment, go_program
from support.json_documents import any_documents, damage, faulty_characters, faulty_scalars, faulty_values
from support.json_values import decode_utf8
from support.json_walk import Document, as_token, tokens
from support.paths import REPOSITORY

from falco_plugin import Event, json_field

VALUE = json_field("a.value", "{pointer}", desc="The value that a pointer leads to")
SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")

SHARED = REPOSITORY.parent / "shared"
REAL_LOGS = [*sorted((SHARED / "data").glob("*.jsonl")), *sorted((SHARED / "cases").glob("*/*.jsonl"))]
SAMPLES = sorted(REPOSITORY.glob("plugins/*/*.jsonl"))


@dataclass(frozen=True)
class Value:
    """A value that fastjson found."""

    pointer: tuple[bytes, ...]
    type: str
    text: bytes


@dataclass
class Fastjson:
    """The running program `tests/hosts/fastjson`, and counts of what was compared with it."""

    process: subprocess.Popen[bytes]
    documents: int = 0
    pointers: int = 0
    differences: Counter[str] = field(default_factory=Counter)

    def read(self, document: bytes, pointers: Sequence[Sequence[str]] | None = None) -> list[Value] | None:
        """Returns the values at the pointers, or all values of the document; None if fastjson rejects the document."""
        request = {"document": b64encode(document).decode()}
        if pointers is not None:
            request["pointers"] = [[b64encode(token.encode()).decode() for token in tokens] for tokens in pointers]
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            return None
        return [
            Value(tuple(map(b64decode, value["pointer"] or ())), value["type"], b64decode(value["text"] or ""))
            for value in answer["values"]
        ]


@pytest.fixture(scope="module")
def fastjson(request: pytest.FixtureRequest) -> Iterator[Fastjson]:
    program = go_program("fastjson")
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()) as process:
        compared = Fastjson(process)
        yield compared
        process.stdin.close()
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        differences = ", ".join(f"{title}: {count:,}" for title, count in compared.differences.most_common())
        reporter.write_line(
            f"fastjson: compared {compared.pointers:,} pointers of {compared.documents:,} documents; {differences}"
        )


BYTE, NUL, SURROGATES, NULL, EQUAL_KEYS = (difference.title for difference in OTHER_VALUES[:5])


def assert_same(fastjson: Fastjson, payload: bytes) -> None:
    """Asserts that `json_field` finds each value that fastjson finds, except for the listed differences."""
    # The official plugins reject documents that are neither objects nor arrays before they parse them.
    values = fastjson.read(payload) if payload.lstrip()[:1] in (b"{", b"[") else None
    if values is None:
        return
    document, event = Document(payload), Event(payload)
    fastjson.documents += 1
    for value in values:
        pointer = "".join(f"/{as_token(decode_utf8(token))}" for token in value.pointer)
        found = VALUE(event, None, pointer)
        expected, differences = convert_value(value)
        if found != expected:
            # The right value depends on how keys and strings are spelled. The reference implementation finds it.
            differences = [explain_difference(document, pointer, value)]
            read = document.values("{pointer}", "string", key=pointer)
            assert found == (read[0].value if read else None), (payload, pointer, value)
        fastjson.pointers += 1
        fastjson.differences.update(differences)


def convert_value(value: Value) -> tuple[str | None, list[str]]:
    """Returns the value that `json_field` must find for a value of fastjson, and the titles of their differences."""
    if value.type == "null":
        return None, [NULL]
    text = decode_utf8(value.text)
    differences = [BYTE] * (text.encode() != value.text) + [NUL] * ("\0" in text)
    return text.replace("\0", "\ufffd"), differences


def explain_difference(document: Document, pointer: str, value: Value) -> str:
    """Returns the title of the difference that explains why `json_field` finds another value."""
    node = document.root
    for token in tokens(pointer):
        entries = document.entries(node)
        named = [child for index, (key, child) in enumerate(entries) if token in (key, str(index) * (key is None))]
        if len(named) > 1:
            return EQUAL_KEYS
        if not named:
            assert SURROGATE_ESCAPE.search(document.payload), (document.payload, pointer, value)
            return SURROGATES
        (node,) = named
    assert value.type == "string", (document.payload, pointer, value)
    assert SURROGATE_ESCAPE.search(document.payload, node.start, node.end), (document.payload, pointer, value)
    return SURROGATES


# Damaged lines of real logs and samples

LINES = [line for path in [*SAMPLES, *REAL_LOGS] for line in path.read_bytes().splitlines() if line.strip()]
lines = st.sampled_from(LINES)


@st.composite
def logs_with_faulty_values(draw: st.DrawFn) -> bytes:
    """Generates log lines with some values replaced by faulty ones."""
    payload = draw(lines)
    spans = [(node.start, node.end) for _, node in Document(payload).pointers()][1:]
    if not spans:
        return payload
    chosen = draw(st.lists(st.sampled_from(spans), min_size=1, max_size=4))
    for start, end in sorted(chosen, reverse=True):
        if end <= len(payload):
            payload = payload[:start] + draw(st.one_of(faulty_scalars, faulty_values)) + payload[end:]
    return payload


@st.composite
def spliced_logs(draw: st.DrawFn) -> bytes:
    """Generates the start of a log line followed by the end of another, each cut at a comma."""
    first, second = draw(lines), draw(lines)
    commas = [match.start() for match in re.finditer(b",", first)]
    others = [match.start() for match in re.finditer(b",", second)]
    if not commas or not others:
        return first + second
    return first[: draw(st.sampled_from(commas))] + second[draw(st.sampled_from(others)) :]


@st.composite
def logs_with_faulty_strings(draw: st.DrawFn) -> bytes:
    """Generates log lines with faulty characters in strings and keys, where fastjson accepts nearly all bytes."""
    payload = draw(lines)
    strings = [match.start() + 1 for match in re.finditer(rb'"[^"\\]*"', payload)]
    for position in sorted(draw(st.lists(st.sampled_from(strings or [0]), min_size=1, max_size=6)), reverse=True):
        payload = payload[:position] + draw(faulty_characters) + payload[position:]
    return payload


def test_values_of_logs_equal_fastjson(fastjson: Fastjson) -> None:
    for line in LINES:
        assert_same(fastjson, line)


@given(st.one_of(damage(lines), logs_with_faulty_values(), spliced_logs(), logs_with_faulty_strings()))
def test_values_of_damaged_logs_equal_fastjson(fastjson: Fastjson, payload: bytes) -> None:
    assert_same(fastjson, payload)


@given(st.one_of(any_documents, faulty_values))
def test_values_of_generated_documents_equal_fastjson(fastjson: Fastjson, payload: bytes) -> None:
    assert_same(fastjson, payload)


# Intended differences


@pytest.mark.parametrize("difference", [*OTHER_VALUES, *MORE_VALUES], ids=lambda difference: difference.title)
def test_listed_difference_exists(fastjson: Fastjson, difference: Difference) -> None:
    pointers = [tokens(pointer) for pointer in difference.values]
    values = fastjson.read(difference.document, pointers) or [None] * len(pointers)
    official = [value.text if value and value.type else None for value in values]
    assert official == [official for official, _ in difference.values.values()]
    event = Event(difference.document)
    assert [VALUE(event, None, pointer) for pointer in difference.values] == [
        expected for _, expected in difference.values.values()
    ]


@pytest.mark.parametrize(
    "page", ["plugins/json/README.md", "plugins/k8saudit/README.md", "docs/how-to/extract-fields.md"]
)
def test_differences_are_documented(page: str) -> None:
    _, _, rest = (REPOSITORY / page).read_text().partition("Damaged and unusual JSON")
    section, _, _ = rest.partition("\n#")
    rows = [line for line in section.splitlines() if line.startswith("| ") and not line.startswith("| |")]
    assert rows == [difference.row() for difference in [*OTHER_VALUES, *MORE_VALUES]]
