"""Verifies who has sent a request."""

from __future__ import annotations

import base64
import hmac
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal, Protocol

from falco_plugin.receiving.request import Rejection, Request

_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_PLACEHOLDERS = re.compile(r"(\{body\}|\{timestamp\})")


class Verification(Protocol):
    """How a receiver verifies a request. Any object with this method can be one."""

    def verify(self, request: Request, secrets: Sequence[bytes]) -> None:
        """Returns if the sender knows one of the secrets. The threads of all connections call it concurrently.

        Compare with ``hmac.compare_digest``, which takes the same time for each wrong value.

        Args:
            request: the request with its body.
            secrets: all of them are accepted. There is at least one.

        Raises:
            Rejection: it does not, or this is unclear.
        """
        ...


@dataclass(frozen=True)
class HmacSignature:
    """Verifies a signature of the body, made with a secret by HMAC.

    Without a timestamp, anyone who can record a request can send it again: use ``https``. With a timestamp this is
    possible only while ``tolerance`` lasts.

    Args:
        header: the header with the signature.
        prefix: what may precede the digest, such as ``sha256=``. Upper and lower case are the same.
        message: the bytes that are signed. ``{body}`` in it is the body, ``{timestamp}`` the timestamp.
        timestamp: the header with the time of the signature, in seconds since the epoch.
        pairs: the names of the timestamp and of the digests, if ``header`` is a list such as ``t=1795593600,v1=5257…``.
            The list may have several digests.
        tolerance: seconds by which the timestamp may differ from the time of this machine.
        algorithm: the hash function, such as ``sha256``.
        encoding: how the digest is written.

    Raises:
        ValueError: ``message`` lacks ``{body}``, its ``{timestamp}`` does not fit the other arguments, or Python has
            no such algorithm or encoding.

    Example:
        ```python
        github = HmacSignature("X-Hub-Signature-256", prefix="sha256=")
        slack = HmacSignature(
            "X-Slack-Signature",
            prefix="v0=",
            message="v0:{timestamp}:{body}",
            timestamp="X-Slack-Request-Timestamp",
        )
        stripe = HmacSignature("Stripe-Signature", message="{timestamp}.{body}", pairs=("t", "v1"))
        shopify = HmacSignature("X-Shopify-Hmac-Sha256", encoding="base64")
        ```
    """

    header: str
    prefix: str = ""
    message: str = "{body}"
    timestamp: str | None = None
    pairs: tuple[str, str] | None = None
    tolerance: float = 300
    algorithm: str = "sha256"
    encoding: Literal["hex", "base64"] = "hex"

    def __post_init__(self) -> None:
        if "{body}" not in self.message:
            raise ValueError("message has no {body}: write where the body is in the signed bytes")
        if ("{timestamp}" in self.message) != (self.timestamp is not None or self.pairs is not None):
            raise ValueError(
                "message must have {timestamp} if timestamp or pairs is set, and only then: the time must be signed too"
            )
        if self.timestamp is not None and self.pairs is not None:
            raise ValueError("timestamp and pairs are both set: remove one of them")
        if self.encoding not in {"hex", "base64"}:
            raise ValueError(f"encoding must be 'hex' or 'base64', got {self.encoding!r}")
        try:
            hmac.new(b"", b"", self.algorithm)
        except ValueError:
            raise ValueError(f"algorithm {self.algorithm!r} is unknown: use one such as 'sha256'") from None

    def verify(self, request: Request, secrets: Sequence[bytes]) -> None:
        """Verifies the signature, and then its time.

        Raises:
            Rejection: with 401: the signature is missing or matches no secret, or its time differs too much.
        """
        value = request.headers.get(self.header.lower(), "").strip()
        if not value:
            raise _unauthorized("the signature is missing")
        timestamp, digests = self._read(value, request)
        message = self._message(timestamp, request.body)
        # Hash the body once for each secret, not for each digest: a client may send thousands of digests.
        expected = [hmac.digest(secret, message, self.algorithm) for secret in secrets]
        # Compare all, so that the time does not reveal which one matched.
        matches = [hmac.compare_digest(digest, right) for right in expected for digest in digests]
        if not any(matches):
            raise _unauthorized("the signature matches no secret")
        if self.timestamp is not None or self.pairs is not None:
            self._check_time(timestamp)

    def _read(self, value: str, request: Request) -> tuple[str, list[bytes]]:
        """Returns the timestamp and the digests of a request."""
        timestamp = "" if self.timestamp is None else request.headers.get(self.timestamp.lower(), "")
        digests = [value]
        if self.pairs is not None:
            time_name, digest_name = self.pairs
            pairs = [pair.strip().partition("=") for pair in value.split(",")]
            timestamp = next((text for name, _, text in pairs if name == time_name), "")
            digests = [text for name, _, text in pairs if name == digest_name]
        return timestamp, [self._decode(digest) for digest in digests]

    def _decode(self, digest: str) -> bytes:
        if digest[: len(self.prefix)].lower() == self.prefix.lower():
            digest = digest[len(self.prefix) :]
        try:
            return bytes.fromhex(digest) if self.encoding == "hex" else base64.b64decode(digest, validate=True)
        except ValueError:
            return b""

    def _message(self, timestamp: str, body: bytes) -> bytes:
        if self.message == "{body}":
            return body
        values = {"{body}": body, "{timestamp}": timestamp.encode("latin-1")}
        parts = _PLACEHOLDERS.split(self.message)
        return b"".join(values.get(part, part.encode()) for part in parts)

    def _check_time(self, timestamp: str) -> None:
        if not _TIMESTAMP.fullmatch(timestamp):
            raise _unauthorized("the time of the signature is missing or malformed")
        if abs(time.time() - int(timestamp)) > self.tolerance:
            raise _unauthorized("the signature is too old, or its time is in the future: compare the clocks")


@dataclass(frozen=True)
class SharedToken:
    """Verifies that a header has the secret itself. Anyone who can read a request learns it: use ``https``.

    Args:
        header: the header.
        prefix: what must precede the secret, such as ``Bearer`` and a space. Upper and lower case are the same.

    Example:
        ```python
        gitlab = SharedToken("X-Gitlab-Token")
        bearer = SharedToken("Authorization", prefix="Bearer ")
        ```
    """

    header: str
    prefix: str = ""

    def verify(self, request: Request, secrets: Sequence[bytes]) -> None:
        """Compares the header with the secrets.

        Raises:
            Rejection: with 401: the header is missing, or matches no secret.
        """
        value = request.headers.get(self.header.lower(), "")
        if value[: len(self.prefix)].lower() != self.prefix.lower():
            value = ""
        token = value[len(self.prefix) :].strip().encode("latin-1")
        if not token:
            raise _unauthorized("the token is missing")
        # Compare with all secrets, so that the time does not reveal which one matched.
        matches = [hmac.compare_digest(token, secret) for secret in secrets]
        if not any(matches):
            raise _unauthorized("the token matches no secret")


def _unauthorized(reason: str) -> Rejection:
    return Rejection(HTTPStatus.UNAUTHORIZED, reason)
