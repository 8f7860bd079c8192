"""Defines the workloads, which emit the same bytes in each measured plugin, and makes the files that they read.

Open params are `MODE WORKLOAD`. The mode is the way in which the plugin makes its events, for example `pull`.
The workload is one of these:

| workload | payload of event n, counted from 0 |
|---|---|
| `empty` | 0 bytes |
| `lines:FILE` | line n of the file without its newline, repeated endlessly; `open` reads the file |
| `json:FILE` | the same lines, each of which is a JSON object; `open` decodes them, and each event is encoded again |
| `random:FILE` | the first 1024 + x % (1024 * 1204 - 1024) bytes of the file |
| `scap:FILE` | none: the file is a capture, whose events the plugin parses |
| `file:FILE` | line n of the file, which is read while the source runs, then EOF |

The modes with several threads need a file whose lines are equal: each thread makes its own payloads, and the order of
the events is not defined. The x of `random` is xorshift32 (13, 17, 5) after n + 1 steps from 1. The files are generated
from fixed seeds.
"""

from __future__ import annotations

import itertools
import json
import random
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LINES = 128
"""Lines of each file: the batch size, so that a plugin can send the file as one list."""
LARGEST = 1204 << 10
THREAD = 4711
"""The id of the thread that makes the system calls."""


@dataclass(frozen=True)
class Workload:
    """One kind of events."""

    title: str
    kind: str
    content: Callable[[], Iterable[bytes]] | None = None
    """Makes the content of its file, in parts."""


def prepare(name: str, folder: Path) -> str:
    """Makes the file of a workload in a folder, unless it is up to date.

    Returns:
        The workload as a part of open params, such as `lines:FILE`.
    """
    workload = WORKLOADS[name]
    if workload.content is None:
        return workload.kind
    path = folder / name
    if not path.exists() or path.stat().st_mtime < Path(__file__).stat().st_mtime:
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            file.writelines(workload.content())
        part.rename(path)
    return f"{workload.kind}:{path}"


def _logs(size: int) -> Iterator[bytes]:
    """Yields log lines of a service, all of one size, with a level near the front and a trace id at the end."""
    chance = random.Random(1)
    levels = ["info"] * 10 + ["debug"] * 3 + ["warning", "error"]
    messages = ["request served", "upstream retried", 'token "refreshed"', "cache missed", "connection reset"]
    for number in range(LINES):
        line: dict[str, Any] = {
            "time": f"2026-03-14T09:{number // 60:02}:{number % 60:02}.{chance.randrange(10**6):06}Z",
            "level": chance.choice(levels),
            "message": chance.choice(messages),
            "http": {
                "method": chance.choice(["GET", "POST"]),
                "path": "",
                "status": 200,
                "ms": chance.random(),
            },
            "k8s": {"namespace": "shop", "pod": f"cart-{_hex(chance, 8)}", "container": "app"},
            "trace_id": _hex(chance, 32),
        }
        line["http"]["path"] = "/" + _hex(chance, size - len(_json(line)) - 1)
        yield _json(line)


def _equal_logs(size: int) -> Iterator[bytes]:
    """Yields the first log line again and again: the events of several threads are the same in any order."""
    return itertools.repeat(next(_logs(size)), LINES)


def _cloudtrail() -> Iterator[bytes]:
    """Yields records like those of AWS CloudTrail, 1.0 to 1.4 KB, in four shapes."""
    chance = random.Random(2)
    for number in range(LINES):
        shape = _CLOUDTRAIL[number % len(_CLOUDTRAIL)]
        account, key = f"{chance.randrange(10**12):012}", _hex(chance, 16).upper()
        record = {
            "eventVersion": "1.08",
            "userIdentity": {
                "type": "AssumedRole",
                "principalId": f"AROA{key}:worker-{number}",
                "arn": f"arn:aws:sts::{account}:assumed-role/deploy/worker-{number}",
                "accountId": account,
                "accessKeyId": f"ASIA{key}",
                "sessionContext": {
                    "sessionIssuer": {
                        "type": "Role",
                        "arn": f"arn:aws:iam::{account}:role/deploy",
                        "userName": "deploy",
                    },
                    "attributes": {"creationDate": "2026-03-14T08:00:00Z", "mfaAuthenticated": "false"},
                },
            },
            "eventTime": f"2026-03-14T09:{number // 60:02}:{number % 60:02}Z",
            **shape,
            "awsRegion": chance.choice(["eu-central-1", "us-east-1", "ap-southeast-2"]),
            "sourceIPAddress": f"198.51.100.{chance.randrange(256)}",
            "responseElements": None,
            "requestID": _uuid(chance),
            "eventID": _uuid(chance),
            "readOnly": bool(number % 2),
            "eventType": "AwsApiCall",
            "managementEvent": True,
            "recipientAccountId": account,
            "eventCategory": "Management",
            "tlsDetails": {"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256"},
        }
        yield _json(record)


_CLOUDTRAIL: list[dict[str, Any]] = [
    {
        "eventSource": "s3.amazonaws.com",
        "eventName": "GetBucketPublicAccessBlock",
        "userAgent": "[aws-sdk-java/1.12.488 Linux/5.15 OpenJDK_64-Bit_Server_VM/25.372-b08 java/1.8.0_372]",
        "requestParameters": {"bucketName": "logs-of-the-shop", "publicAccessBlock": "", "Host": "s3.amazonaws.com"},
        "additionalEventData": {"SignatureVersion": "SigV4", "bytesTransferredIn": 0, "bytesTransferredOut": 375},
    },
    {
        "eventSource": "ssm.amazonaws.com",
        "eventName": "ListTagsForResource",
        "userAgent": "APN/1.0 HashiCorp/1.0 Terraform/1.5.7 (+https://www.terraform.io) aws-sdk-go/1.44.157 (linux)",
        "requestParameters": {"resourceType": "Parameter", "resourceId": "/shop/production/credentials/database"},
    },
    {
        "eventSource": "kms.amazonaws.com",
        "eventName": "Decrypt",
        "userAgent": "AWS Internal",
        "requestParameters": {
            "encryptionContext": {"PARAMETER_ARN": "arn:aws:ssm:eu-central-1:parameter/shop/production/credentials"},
            "encryptionAlgorithm": "SYMMETRIC_DEFAULT",
        },
        "resources": [
            {"type": "AWS::KMS::Key", "ARN": "arn:aws:kms:eu-central-1:key/0e5d0ab6-097e-49d8-99ef-747ce3e5"}
        ],
    },
    {
        "eventSource": "sts.amazonaws.com",
        "eventName": "AssumeRole",
        "userAgent": "aws-cli/2.15.30 Python/3.11.8 Linux/6.1.79 exe/x86_64.amzn.2023 command/sts.assume-role",
        "requestParameters": {"roleSessionName": "nightly", "durationSeconds": 3600, "externalId": "shop-production"},
        "errorCode": "AccessDenied",
        "errorMessage": "User is not authorized to perform: sts:AssumeRole on resource: the role of the nightly report",
    },
]


def _audits() -> Iterator[bytes]:
    """Yields Kubernetes audit events of about 1.9 KB, of created pods."""
    chance = random.Random(3)
    for number in range(LINES):
        name = f"cart-{_hex(chance, 10)}-{_hex(chance, 5)}"
        received = f"2026-03-14T09:{number // 60:02}:{number % 60:02}"
        yield _json(
            {
                "kind": "Event",
                "apiVersion": "audit.k8s.io/v1",
                "level": "RequestResponse",
                "auditID": _uuid(chance),
                "stage": "ResponseComplete",
                "requestURI": "/api/v1/namespaces/shop/pods?fieldManager=kubectl-create",
                "verb": "create",
                "user": {
                    "username": "system:serviceaccount:kube-system:replicaset-controller",
                    "uid": _uuid(chance),
                    "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
                },
                "sourceIPs": [f"192.0.2.{chance.randrange(256)}"],
                "userAgent": "kube-controller-manager/v1.29.3 (linux/amd64) kubernetes/6813625/replicaset-controller",
                "objectRef": {"resource": "pods", "namespace": "shop", "name": name, "apiVersion": "v1"},
                "responseStatus": {"metadata": {}, "code": 201},
                "requestObject": {
                    "kind": "Pod",
                    "apiVersion": "v1",
                    "metadata": {
                        "name": name,
                        "namespace": "shop",
                        "creationTimestamp": None,
                        "labels": {"app": "cart", "pod-template-hash": _hex(chance, 10)},
                        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": True}],
                    },
                    "spec": {
                        "containers": [
                            {
                                "name": "app",
                                "image": f"registry.example.com/shop/cart:1.{number}.0",
                                "ports": [{"containerPort": 8080, "protocol": "TCP"}],
                                "env": [
                                    {"name": "DATABASE", "value": "postgres://cart@db.shop.svc/cart"},
                                    {
                                        "name": "PAYMENTS",
                                        "value": "https://payments.shop.svc.cluster.local:8443/v2/accounts",
                                    },
                                ],
                                "volumeMounts": [{"name": "cache", "mountPath": "/var/cache/cart"}],
                                "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}},
                                "terminationMessagePath": "/dev/termination-log",
                                "securityContext": {"privileged": False, "runAsUser": 1000},
                            }
                        ],
                        "restartPolicy": "Always",
                        "dnsPolicy": "ClusterFirst",
                        "serviceAccountName": "cart",
                    },
                    "status": {},
                },
                "requestReceivedTimestamp": f"{received}.{chance.randrange(10**6):06}Z",
                "stageTimestamp": f"{received}.{chance.randrange(10**6):06}Z",
                "annotations": {
                    "authorization.k8s.io/decision": "allow",
                    "authorization.k8s.io/reason": 'RBAC: allowed by ClusterRoleBinding "replicaset-controller"',
                },
            }
        )


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _hex(chance: random.Random, digits: int) -> str:
    return f"{chance.getrandbits(4 * digits):0{digits}x}"


def _uuid(chance: random.Random) -> str:
    return "-".join(_hex(chance, digits) for digits in (8, 4, 4, 4, 12))


def _lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    return (line + b"\n" for line in lines)


def _repeated(size: int) -> Iterator[bytes]:
    block = b"".join(_lines(_cloudtrail()))
    return itertools.repeat(block, -(-size // len(block)))


def _capture(code: int, *params: bytes) -> Iterator[bytes]:
    """Yields a capture file with the ends of system calls."""
    lengths = b"".join(struct.pack("<H", len(param)) for param in params)
    body = lengths + b"".join(params)
    header = struct.pack("<QqIHI", 1_773_000_000_000_000_000, THREAD, 26 + len(body), code, len(params))
    yield _block(0x0A0D0D0A, struct.pack("<IHHQ", 0x1A2B3C4D, 1, 2, 2**64 - 1))
    yield _block(0x216, bytes(2) + header + body) * LINES


def _block(kind: int, content: bytes) -> bytes:
    content += bytes(-len(content) % 4)
    length = struct.pack("<I", 12 + len(content))
    return struct.pack("<I", kind) + length + content + length


def _execve() -> Iterator[bytes]:
    """Yields a capture file with calls of execve."""
    number, text = bytes(8), b"/usr/bin/python3\0"
    numbers = (number, number, number)
    return _capture(293, number, text, b"-m\0http.server\0", *numbers, b"/srv\0", number, number, number)


WORKLOADS = {
    "empty": Workload("empty", "empty"),
    "log300": Workload("300 B JSON", "lines", lambda: _lines(_logs(300))),
    "equal300": Workload("300 B JSON, equal lines", "lines", lambda: _lines(_equal_logs(300))),
    "encode300": Workload("300 B JSON, encoded", "json", lambda: _lines(_equal_logs(300))),
    "log1k": Workload("1 KiB JSON", "lines", lambda: _lines(_logs(1024))),
    "cloudtrail": Workload("CloudTrail, 1.2 KB", "lines", lambda: _lines(_cloudtrail())),
    "audit": Workload("audit event, 1.9 KB", "lines", lambda: _lines(_audits())),
    "execve": Workload("execve", "scap", _execve),
    "close": Workload("close", "scap", lambda: _capture(5, bytes(8), bytes(8))),
    "random": Workload("random, 1 KiB to 1.18 MiB", "random", lambda: [random.Random(4).randbytes(LARGEST)]),
    "file": Workload("256 MB of CloudTrail lines", "file", lambda: _repeated(256_000_000)),
    "file-small": Workload("64 MB of CloudTrail lines", "file", lambda: _repeated(64_000_000)),
}
