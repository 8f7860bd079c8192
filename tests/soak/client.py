"""The client process of the load test. It posts requests as fast as they are answered, and writes each answer.

Usage: `client.py EXAMPLE NUMBER PORT SECONDS`. It writes one line per request to standard output: the ids of the
request's events, joined by commas, and the answer.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import random
import socket
import sys
import threading
import time
from collections.abc import Iterator

SECRET = b"the secret of the load test"
CONNECTIONS = 4
NO_ANSWER = "none"
"""The connection ended before an answer: the host may have received the events or not."""

_MAX_EVENTS = 8
_MAX_PADDING = 200


def requests(example: str, client: int, connection: int) -> Iterator[tuple[list[str], bytes]]:
    """Yields requests of one or more events, each with the ids of its events. Each id is used once."""
    dice = random.Random(client << 16 | connection)
    write = {"webhook": _webhook, "k8saudit": _k8saudit}[example]
    for number in range(sys.maxsize):
        count = dice.choice([1, 1, 1, dice.randint(2, _MAX_EVENTS)])
        padding = {
            f"{client}-{connection}-{number}-{part}": "x" * dice.randrange(_MAX_PADDING) for part in range(count)
        }
        body, headers = write(padding)
        yield list(padding), f"{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _webhook(padding: dict[str, str]) -> tuple[bytes, str]:
    body = "\n".join(f'{{"id":"{name}","text":"{text}"}}' for name, text in padding.items()).encode()
    kind = "json" if len(padding) == 1 else "x-ndjson"
    signature = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    head = "POST /hook HTTP/1.1\r\nHost: localhost\r\n"
    return body, f"{head}Content-Type: application/{kind}\r\nX-Hub-Signature-256: sha256={signature}\r\n"


def _k8saudit(padding: dict[str, str]) -> tuple[bytes, str]:
    events = ",".join(f'{{"id":"{name}","kind":"Event","userAgent":"{text}"}}' for name, text in padding.items())
    body = f'{{"kind":"EventList","items":[{events}]}}'.encode()
    return body, "POST /k8s-audit HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def read_answer(connection: socket.socket) -> tuple[str, bool]:
    """Reads an answer. Returns its status and body, and whether the connection stays open."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(4096)
        if not part:
            return NO_ANSWER, False
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    while len(body) < int(headers[b"content-length"]):
        part = connection.recv(4096)
        if not part:
            return NO_ANSWER, False
        body += part
    return f"{head.split()[1].decode()} {body.decode().strip()}", headers.get(b"connection") != b"close"


def post(example: str, client: int, number: int, port: int, end: float) -> None:
    """Posts requests, with a new connection when one ends, until the time is over or the port is closed."""
    unsent = requests(example, client, number)
    while time.monotonic() < end:
        try:
            connection = socket.create_connection(("127.0.0.1", port), timeout=30)
        except OSError:
            return
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            is_open = True
            while is_open and time.monotonic() < end:
                ids, request = next(unsent)
                reply = NO_ANSWER
                try:
                    connection.sendall(request)
                    reply, is_open = read_answer(connection)
                except OSError:
                    is_open = False
                # One call writes the line: `sys.stdout` may mix the lines of two threads.
                os.write(sys.stdout.fileno(), f"{','.join(ids)} {reply}\n".encode())


def main() -> None:
    example, client, port, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    end = time.monotonic() + seconds
    threads = [
        threading.Thread(target=post, args=(example, client, number, port, end)) for number in range(CONNECTIONS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
