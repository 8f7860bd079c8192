"""Tests how bodies are split into events, and which bodies are rejected."""

from __future__ import annotations

import json
import string
import urllib.request
from collections.abc import Callable
from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st
from plugins.webhook.plugin import Webhook
from support.http import Hook, signature

from falco_plugin.receiving import Rejection, Request
from falco_plugin.testing import RunningPlugin

Start: TypeAlias = Callable[..., tuple[RunningPlugin, Hook]]

JSON = "application/json"
LINES = "application/x-ndjson"
FORM = "application/x-www-form-urlencoded"

A, B, C = b'{"user": "bob"}', b'{"user": {"name": "eve"}}', b'{"n": [1, {}]}'
PRETTY = json.dumps({"user": "bob", "groups": [{"a": 1}, {"b": 2}]}, indent=2).encode()

# A body of one event is delivered unchanged. If a body is split, white space around its events is removed.
SPLIT: list[tuple[str, bytes, list[bytes]]] = [
    (JSON, A, [A]),
    (JSON, b"\r\n" + A + b"\r\n", [b"\r\n" + A + b"\r\n"]),
    (JSON, PRETTY, [PRETTY]),
    (JSON, A + b"\n" + B + b"\n", [A, B]),
    (JSON, A + B + C, [A, B, C]),
    (JSON, A + b", " + B + b",", [A, B]),
    (JSON, b"\xef\xbb\xbf" + A + b"\r\n\r\n" + B, [A, B]),
    (JSON, PRETTY + b"\n" + PRETTY, [PRETTY, PRETTY]),
    ("application/json; charset=utf-8", A + b"\n" + B, [A, B]),
    ("", A + B, [A, B]),
    ("text/plain", A + b"\n" + B, [A, B]),
    ("application/vnd.api+json", A + B, [A, B]),
    ("application/x-amz-json-1.1", A + B, [A, B]),
    ("application/json-seq", b"\x1e" + A + b"\n\x1e" + B + b"\n", [A, B]),
    (FORM, A + b"\n" + B, [A, B]),
    ("application/octet-stream", A, [A]),
    # An array of objects is a batch. Any other array is one event.
    (JSON, b"[" + A + b", " + B + b"]\n", [A, B]),
    (JSON, b"[" + A + b"]", [A]),
    (JSON, b'["push", ' + A + b"]", [b'["push", ' + A + b"]"]),
    (JSON, b"[]", [b"[]"]),
    # A damaged line does not hide the others.
    (JSON, A + b'\n{"user": "x"\n' + B, [A, b'{"user": "x"', B]),
    (JSON, A + b'\n{"user": "x\n' + B, [A, b'{"user": "x', B]),
    (JSON, A + b"\ntext\n" + B, [A, b"text", B]),
    (JSON, b"text\n" + A + b"\n" + B, [b"text", A, B]),
    (JSON, A + B + b'{"cut": ', [A, B, b'{"cut":']),
    (LINES, b'{"x": [\n' + A + b"\n]}", [b'{"x": [', A, b"]}"]),
    (LINES, A + B + b"\ntext\n\n" + C, [A, B, b"text", C]),
    ("application/ndjson", b"1\n2", [b"1", b"2"]),
    ("application/jsonl", b"a\nb", [b"a", b"b"]),
    # A damaged value does not split its document.
    (JSON, b'{"user": "b\xffb", "n": NaN, "x": "\\x5C"}', [b'{"user": "b\xffb", "n": NaN, "x": "\\x5C"}']),
    (JSON, b'{"text": "two\nlines", "user": "bob"}', [b'{"text": "two\nlines", "user": "bob"}']),
    (JSON, b'{"user": "bob", "cut": {', [b'{"user": "bob", "cut": {']),
    # Text is one event.
    ("", b"first\nsecond", [b"first\nsecond"]),
    ("text/plain", b"ERROR in {module} [1]", [b"ERROR in {module} [1]"]),
    # Blanks in a header cost no time.
    ("text/plain; charset=" + " " * 15_000 + "x", A, [A]),
    ("text/plain; charset=iso-8859-1", b"caf\xe9", [b"caf\xe9"]),
    ("application/xml", b"<a>{}</a>", [b"<a>{}</a>"]),
]


def test_each_document_of_a_body_is_an_event(start: Start) -> None:
    host, hook = start()
    for kind, body, events in SPLIT:
        assert hook.post(body, Content_Type=kind).status == 200, (kind, body)
        assert [host.next_event().data for _ in events] == events, (kind, body)
    assert len(host.stop().events) == sum(len(events) for _, _, events in SPLIT)


IS_FORM = "the body is a form, which rules cannot read: send JSON with Content-Type: application/json"
WRONG_TYPE = "rules cannot read this Content-Type: send JSON with Content-Type: application/json"
IS_WIDE = "the body is UTF-16 or UTF-32, which rules cannot read: send UTF-8"
IS_COMPRESSED = "the body is compressed, which rules cannot read: send it without compression"

UNREADABLE: list[tuple[dict[str, str], bytes, str]] = [
    ({"Content-Type": FORM}, b"payload=%7B%22user%22%3A%22eve%22%7D", IS_FORM),
    ({"Content-Type": f"{FORM.upper()}; charset=utf-8"}, b"a=1&b=2", IS_FORM),
    ({"Content-Type": "multipart/form-data; boundary=x"}, b'--x\r\n\r\n{"user": "eve"}\r\n--x--', IS_FORM),
    ({"Content-Type": "multipart/mixed; boundary=x"}, b"--x--", WRONG_TYPE),
    ({"Content-Type": "application/octet-stream"}, b"\x81\xa4user\xa3eve", WRONG_TYPE),
    ({"Content-Type": "application/msgpack"}, b"\x81\xa4user\xa3eve", WRONG_TYPE),
    ({"Content-Type": "application/x-protobuf"}, b"\x0a\x03eve", WRONG_TYPE),
    ({"Content-Type": "application/cbor"}, b"\xa1", WRONG_TYPE),
    ({"Content-Type": "application/gzip"}, A, WRONG_TYPE),
    ({"Content-Type": "image/png"}, A, WRONG_TYPE),
    ({"Content-Type": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}, b"PK", WRONG_TYPE),
    ({"Content-Encoding": "gzip"}, A, IS_COMPRESSED),
    ({"Content-Encoding": "identity, br"}, A, IS_COMPRESSED),
    ({"Content-Type": JSON}, b"\x1f\x8b\x08\x00", IS_COMPRESSED),
    ({"Content-Type": 'application/json; charset="UTF-16"'}, A, IS_WIDE),
    ({"Content-Type": "text/plain;charset=utf-32le"}, A, IS_WIDE),
    ({"Content-Type": 'text/plain; format=flowed ;\tCharset = " UCS-2"'}, A, IS_WIDE),
    ({"Content-Type": "text/plain; charset=" + " " * 15_000 + "utf-16"}, A, IS_WIDE),
    ({"Content-Type": JSON}, A.decode().encode("utf-16"), IS_WIDE),
    ({"Content-Type": JSON}, A.decode().encode("utf-16-be"), IS_WIDE),
    ({"Content-Type": JSON}, b"\n\0" + A.decode().encode("utf-16-le"), IS_WIDE),
    ({"Content-Type": JSON}, A.decode().encode("utf-32-le"), IS_WIDE),
]


def test_unreadable_body_is_rejected_with_remedy(start: Start) -> None:
    host, hook = start()
    for headers, body, reason in UNREADABLE:
        rejected = hook.request("POST", "/hook", body, {"X-Hub-Signature-256": signature(body), **headers})
        assert (rejected.status, rejected.text.startswith(reason)) == (415, True), (headers, body, rejected.text)
    ran = host.stop()
    assert ran.events == []
    assert IS_FORM in "\n".join(line.text for line in ran.log)


def test_blank_body_is_rejected(start: Start) -> None:
    host, hook = start()
    for kind in (JSON, LINES, "", "text/plain"):
        for body in (b"", b" \r\n\x00", b"\xef\xbb\xbf", b",\n"):
            rejected = hook.post(body, Content_Type=kind)
            assert (rejected.status, rejected.text) == (400, "the body is empty: send a JSON document\n"), (kind, body)
    assert host.stop().events == []


def test_json_without_content_type_is_accepted(start: Start) -> None:
    # urllib and `curl -d` declare each body as a form.
    host, hook = start(secret=None, allow_unsigned=True)
    urllib.request.urlopen(f"http://127.0.0.1:{hook.port}/hook", A, timeout=20).close()
    assert host.next_event().data == A


def test_signature_is_case_insensitive(start: Start) -> None:
    host, hook = start()
    digits = signature(A).removeprefix("sha256=")
    for prefix in ("", "sha256=", "SHA256=", "Sha256=", " sha256="):
        for written in (prefix + digits, prefix + digits.upper()):
            assert hook.post(A, X_Hub_Signature_256=written).status == 200, written
            assert host.next_event().data == A


@given(
    st.sampled_from(["", JSON, LINES, "text/plain"]),
    st.lists(
        st.one_of(
            st.sampled_from([A, B, C]),
            st.text(string.printable, max_size=8).map(str.encode),
            st.binary(max_size=8),
        )
    ),
    st.sampled_from([b"", b"\n", b",\r\n"]),
)
def test_events_drop_only_separators(kind: str, parts: list[bytes], between: bytes) -> None:
    body = between.join(parts)
    plugin = Webhook()
    request = Request("POST", "/hook", "", {"content-type": kind}, "127.0.0.1", body)
    try:
        plugin.check(request)
        events = [event for event in plugin.events(request) if isinstance(event, bytes)]
    except Rejection:
        return
    rest = body
    left = b""
    for event in events:
        before, found, rest = rest.partition(event)
        assert found
        left += before
    assert not (left + rest).strip(bytes(range(33)) + b",[]}\xef\xbb\xbf")
