"""Tests how requests are read: strictly, within limits, and with the same result as another reader of HTTP."""

from __future__ import annotations

import io

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from falco_plugin.receiving import Rejection
from falco_plugin.receiving.body import read_body
from falco_plugin.receiving.head import Head, Incomplete, read_head

LIMIT = 1000


def read(request: bytes) -> tuple[Head, bytes, bytes]:
    """Returns a request, its body, and the bytes after it."""
    stream = io.BytesIO(request)
    head = read_head(stream)
    return head, read_body(stream, head.length, LIMIT), stream.read()


ACCEPTED = [
    (b"POST /hook HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}rest", b"{}", b"rest"),
    (b"\r\nPOST /hook HTTP/1.1\r\nContent-Length: 002\r\n\r\n{}", b"{}", b""),
    (
        b"POST /hook HTTP/1.1\r\ntransfer-encoding: Chunked\r\n\r\n1\r\n{\r\n01 ;a=b\r\n}\r\n0\r\nX: y\r\n\r\nrest",
        b"{}",
        b"rest",
    ),
    (b"POST http://example.org/hook?a=b HTTP/1.1\r\n\r\nrest", b"", b"rest"),
    (b"POST /hook HTTP/1.0\r\nContent-Length:\t2 \r\n\r\n{}", b"{}", b""),
]


@pytest.mark.parametrize(("request_", "body", "rest"), ACCEPTED)
def test_reader_returns_body_and_leaves_next_request(request_: bytes, body: bytes, rest: bytes) -> None:
    head, found, left = read(request_)
    assert (head.method, head.path, found, left) == ("POST", "/hook", body, rest)


def test_head_has_query_headers_and_connection() -> None:
    head, *_ = read(
        b"POST /a%20b?c=%64?e HTTP/1.1\r\nX-A: \xe9 b\t\r\nx-a: 2\r\nConnection: keep-alive, Close\r\n"
        b"Expect: 100-Continue\r\nContent-Length: 0\r\n\r\n"
    )
    assert (head.path, head.query, head.headers["x-a"]) == ("/a%20b", "c=%64?e", "\xe9 b, 2")
    assert (head.keeps_alive, head.expects_continue, head.declares_body) == (False, True, True)
    head, *_ = read(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n\r\n")
    assert (head.keeps_alive, head.expects_continue, head.declares_body) == (False, False, False)


START = b"POST /hook HTTP/1.1\r\n"
REJECTED = [
    (b"POST  /hook HTTP/1.1\r\n\r\n", 400),
    (b"POST /ho ok HTTP/1.1\r\n\r\n", 400),
    (b"POST /hook\r\n\r\n", 400),
    (b"POST /hook HTTP/1.1\n\r\n", 400),
    (b"POST /hook HTTP/11.1\r\n\r\n", 400),
    (b"POST /hook HTTP/1.1 \r\n\r\n", 400),
    (b"\r\n\r\nPOST /hook HTTP/1.1\r\n\r\n", 400),
    (b"P(ST /hook HTTP/1.1\r\n\r\n", 400),
    (b"POST /h\xc3\xb6ok HTTP/1.1\r\n\r\n", 400),
    (b"POST hook HTTP/1.1\r\n\r\n", 400),
    (b"POST * HTTP/1.1\r\n\r\n", 400),
    (b"POST /hook#part HTTP/1.1\r\n\r\n", 400),
    (b"CONNECT example.org:443 HTTP/1.1\r\n\r\n", 400),
    (b"POST /hook HTTP/2.0\r\n\r\n", 505),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 600 + b"\n", 400),
    (b"POST /" + b"x" * (16 << 10) + b" HTTP/1.1\r\n\r\n", 414),
    (START + b"X: " + b"x" * (16 << 10) + b"\r\n\r\n", 431),
    (START + b"".join(b"X-%d: %s\r\n" % (number, b"x" * 300) for number in range(60)) + b"\r\n", 431),
    (START + b"X: y\r\n" * 101 + b"\r\n", 431),
    (START + b"X: y\n\r\n", 400),
    (START + b"X: a\rb\r\n\r\n", 400),
    (START + b"X: a\x7fb\r\n\r\n", 400),
    (START + b"X\xe9: a\r\n\r\n", 400),
    (START + b"nothing\r\n\r\n", 400),
    (START + b"Host: a\r\nHost: a\r\n\r\n", 400),
    (START + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400),
    (START + b"Content-Length: \r\n\r\n", 400),
    (START + b"Content-Length: \xb2\r\n\r\n", 400),
    (START + b"Content-Length: 0x2\r\n\r\n{}", 400),
    (START + b"Content-Length: 1_0\r\n\r\n", 400),
    (START + b"Content-Length: " + b"9" * 9000 + b"\r\n\r\n", 413),
    (START + b"Content-Length: 1001\r\n\r\n", 413),
    (START + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}", 400),
    (START + b"Transfer-Encoding: chunked, identity\r\n\r\n", 501),
    (START + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
    (START + b"Transfer-Encoding: \x0bchunked\r\n\r\n", 400),
    (b"POST /hook HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (START + b"Expect: 200-ok\r\n\r\n", 417),
    *(
        (START + b"Transfer-Encoding: chunked\r\n\r\n" + chunks, status)
        for chunks, status in [
            (b"\r\n", 400),
            (b"g\r\n", 400),
            (b"0x2\r\n{}\r\n", 400),
            (b"+2\r\n{}\r\n", 400),
            (b"2\n{}\r\n", 400),
            (b"2\r\n{}x\r\n", 400),
            (b"2\r\n{}\n\n", 400),
            (b"000000002\r\n{}\r\n", 400),
            (b"2;\r\r\n{}\r\n", 400),
            (b"FFFFFFFF\r\n", 413),
            (b"3E8\r\n" + b"x" * 1000 + b"\r\n1\r\nx\r\n", 413),
            (b"0\r\n" + b"X: y\r\n" * 40, 400),
            (b"0\r\nX: y\r\r\nGET / HTTP/1.1\r\n\r\n", 400),
            (b"0\r\nGET / HTTP/1.1\r\n\r\n", 400),
            (b"0\r\nX: y\r\n folded\r\n\r\n", 400),
            (b"0\r\nX: a\0b\r\n\r\n", 400),
        ]
    ),
]


@pytest.mark.parametrize(("request_", "status"), REJECTED)
def test_reader_rejects_what_a_proxy_may_read_differently(request_: bytes, status: int) -> None:
    with pytest.raises(Rejection) as rejected:
        read(request_)
    assert rejected.value.status == status


@pytest.mark.parametrize(("request_", "body", "rest"), ACCEPTED)
def test_truncated_request_is_incomplete_and_not_shorter(request_: bytes, body: bytes, rest: bytes) -> None:
    whole = request_.removesuffix(rest)
    for end in range(len(whole)):
        with pytest.raises(Incomplete):
            read(whole[:end])


def test_length_of_zeros_is_read() -> None:
    assert read(START + b"Content-Length: " + b"0" * 5000 + b"2\r\n\r\n{}")[1] == b"{}"


def read_by_h11(request: bytes) -> tuple[bytes, bytes, bytes]:
    """Returns method, target and body of the first request, as h11 reads it."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(request)
    head = connection.next_event()
    assert isinstance(head, h11.Request), head
    body = b""
    while isinstance(event := connection.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage), event
    return head.method, head.target, body


LINES = st.lists(
    st.one_of(
        st.sampled_from([
            b"Content-Length: 5", b"Content-Length: 05", b"Content-Length : 5", b"Content-Length: 5, 5",
            b"Transfer-Encoding: chunked", b"Transfer-Encoding:chunked ", b"Transfer-Encoding: xchunked",
            b"Transfer-Encoding\t: chunked", b" chunked", b"Connection: close", b"X: \xff", b"X:", b"X: a\0b",
        ]),
        st.binary(max_size=12),
    ),
    max_size=4,
)  # fmt: skip
CHUNKS = st.sampled_from([b"5\r\nevent\r\n", b"0\r\n\r\n", b"event", b"5;x\r\nevent\r\n", b"2\r\n"])


@given(LINES, st.lists(CHUNKS | st.binary(max_size=6)), st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n"]))
def test_accepted_request_has_the_same_body_for_h11(lines: list[bytes], parts: list[bytes], end: bytes) -> None:
    request = end.join([b"POST /hook HTTP/1.1", b"Host: x", *lines, b"", b"".join(parts)])
    try:
        head, body, _ = read(request)
    except (Rejection, Incomplete):
        return
    assert (head.method.encode(), head.path.encode(), body) == read_by_h11(request)
