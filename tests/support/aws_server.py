"""A server that behaves like S3, SQS and STS, and a proxy before it that injects faults."""

from __future__ import annotations

import functools
import gzip
import http.client
import json
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from support.http import free_port

REGION = "us-east-1"
ACCOUNT, OTHER_ACCOUNT = "123456789012", "210987654321"
KEY_ID, SECRET = "AKIAEXAMPLE", "a-secret-of-the-operator"


def wait_until(condition: Callable[[], bool], timeout: float = 60) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(0.01)


class Request(NamedTuple):
    """A request that the proxy gets."""

    operation: str
    """Such as ``GetObject``."""
    path: str
    headers: Mapping[str, str]
    body: bytes


class Answer(NamedTuple):
    """An answer of the proxy instead of the server's."""

    status: int
    code: str
    message: str = "injected"
    headers: tuple[tuple[str, str], ...] = ()
    cut: int = 0
    """If set, the server's answer loses so many bytes of its end."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    aws: AwsServer

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._handle
        raise AttributeError(name)

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(self._operation(body), self.path, dict(self.headers), body)
        self.aws.requests.append(request)
        answer = self.aws.fault(request)
        if answer is not None and not answer.cut:
            self._reply_error(request, answer)
            return
        upstream = self.aws.connect()
        upstream.request(self.command, self.path, body, dict(self.headers))
        reply = upstream.getresponse()
        content = reply.read()
        upstream.close()
        self.send_response_only(reply.status)
        for name, value in reply.getheaders():
            if name.lower() not in {"connection", "transfer-encoding", "content-length"}:
                self.send_header(name, value)
        self.send_header("Content-Length", reply.headers.get("Content-Length") or str(len(content)))
        self.end_headers()
        if answer is not None:
            content = content[: -answer.cut]
            self.close_connection = True
        if self.command != "HEAD":
            self.wfile.write(content)

    def _operation(self, body: bytes) -> str:
        if target := self.headers.get("X-Amz-Target"):
            return target.rpartition(".")[2]
        if self.command == "POST" and b"Action=" in body:
            return body.partition(b"Action=")[2].partition(b"&")[0].decode()
        if self.command == "GET":
            return "ListObjectsV2" if "list-type=2" in self.path else "GetObject"
        return self.command

    def _reply_error(self, request: Request, answer: Answer) -> None:
        if "X-Amz-Target" in request.headers:
            body = json.dumps({"__type": f"com.amazonaws.sqs#{answer.code}", "message": answer.message}).encode()
        elif self.command == "POST":
            error = f"<Error><Type>Sender</Type><Code>{answer.code}</Code><Message>{answer.message}</Message></Error>"
            body = f"<ErrorResponse>{error}</ErrorResponse>".encode()
        else:
            body = f"<Error><Code>{answer.code}</Code><Message>{answer.message}</Message></Error>".encode()
        self.send_response_only(answer.status)
        for name, value in (*answer.headers, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@functools.cache
def _clients(port: int) -> tuple[Any, Any]:
    """Returns clients of S3 and SQS that do not use the proxy."""
    import botocore.session

    session = botocore.session.Session()
    session.set_credentials(KEY_ID, SECRET)
    options = {"region_name": REGION, "endpoint_url": f"http://127.0.0.1:{port}"}
    return session.create_client("s3", **options), session.create_client("sqs", **options)


class AwsServer:
    """The server of moto, and a proxy before it. Each fault is asked for an answer to each request."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.faults: list[Callable[[Request], Answer | None]] = []
        self.requests: list[Request] = []
        self._proxy = ThreadingHTTPServer(("127.0.0.1", 0), type("OwnHandler", (_Handler,), {"aws": self}))
        self._proxy.daemon_threads = True
        self._proxy.block_on_close = False
        # A host that is killed is not an error of the server.
        self._proxy.handle_error = lambda *_: None
        threading.Thread(target=self._proxy.serve_forever, args=(0.05,), daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self._proxy.server_port}"
        self.s3, self.sqs = _clients(port)

    def close(self) -> None:
        self._proxy.shutdown()
        self._proxy.server_close()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)

    def fault(self, request: Request) -> Answer | None:
        return next((answer for fault in self.faults if (answer := fault(request)) is not None), None)

    def fail(self, operation: str, *answers: Answer) -> None:
        """Answers the next requests of an operation with these answers."""
        left = list(answers)
        self.faults.append(lambda request: left.pop(0) if left and request.operation == operation else None)

    def count(self, operation: str) -> int:
        return sum(request.operation == operation for request in self.requests)

    def new_bucket(self) -> str:
        bucket = f"bucket-{uuid.uuid4()}"
        self.s3.create_bucket(Bucket=bucket)
        return bucket

    def put(self, bucket: str, key: str, *ids: object) -> None:
        """Stores a log file with these records."""
        self.put_bytes(bucket, key, gzip.compress(log_file(*ids), 1) if key.endswith(".gz") else log_file(*ids))

    def put_bytes(self, bucket: str, key: str, content: bytes) -> None:
        self.s3.put_object(Bucket=bucket, Key=key, Body=content)

    def new_queue(self, visibility: int = 30, *, receives: int = 0) -> Queue:
        return Queue(self, f"queue-{uuid.uuid4()}", visibility, receives)


class Queue:
    """A queue, with a dead-letter queue if messages may be received only so many times."""

    def __init__(self, aws: AwsServer, name: str, visibility: int, receives: int) -> None:
        self._aws = aws
        self.name = name
        self.params = f"sqs://{name}"
        attributes = {"VisibilityTimeout": str(visibility)}
        if receives:
            self.dead = aws.sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
            arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}-dead"
            attributes["RedrivePolicy"] = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": receives})
        self.url = aws.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]

    def send(self, message: object) -> None:
        body = message if isinstance(message, str) else json.dumps(message)
        self._aws.sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def announce(self, bucket: str, *keys: str) -> None:
        """Sends the notification of CloudTrail in the envelope of SNS."""
        message = {"s3Bucket": bucket, "s3ObjectKey": list(keys)}
        self.send({"Type": "Notification", "MessageId": "1", "Message": json.dumps(message)})

    def count(self, url: str = "") -> int:
        """Returns the number of messages that are not deleted."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._aws.sqs.get_queue_attributes(QueueUrl=url or self.url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)


def record(id: object, **more: object) -> dict[str, Any]:
    return {"eventTime": "2026-01-31T18:00:00Z", "eventType": "AwsApiCall", "eventID": str(id), **more}


def log_file(*ids: object) -> bytes:
    return json.dumps({"Records": [record(id) for id in ids]}, separators=(",", ":")).encode()


def trail_key(
    minute: str, id: str = "a", *, account: str = ACCOUNT, region: str = REGION, before: str = "AWSLogs/"
) -> str:
    """Returns the key of a log file, such as of the minute ``20260131T1805``."""
    day = f"{minute[:4]}/{minute[4:6]}/{minute[6:8]}"
    return f"{before}{account}/CloudTrail/{region}/{day}/{account}_CloudTrail_{region}_{minute}Z_{id}.json.gz"


@contextmanager
def run_moto(log: Path) -> Iterator[int]:
    """Runs a server of moto, which writes its output to ``log``. Returns its port."""
    port = free_port()
    program = f"from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])"
    command = [sys.executable, "-c", program]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output) as server,
    ):
        try:
            wait_until(lambda: server.poll() is not None or _listens(port))
            assert server.poll() is None, log.read_text()
            yield port
        finally:
            server.kill()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
